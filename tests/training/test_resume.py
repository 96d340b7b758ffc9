"""A run that is killed, goes on, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kkg_area_detection.errors import InvalidModelError, UsageError
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.training.loop import run
from kkg_area_detection.training.run_folder import RunFolder
from kkg_area_detection.training.start import Wishes, train

CPU = torch.device("cpu")

# A run in a process of its own, as in life. It says how far it is, stops where it is told to, and goes on.
WORKER = """
import sys
from pathlib import Path
import torch
from kkg_area_detection.training.config import TrainConfig
from kkg_area_detection.training.loop import run
from kkg_area_detection.training.run_folder import RunFolder

class Loud:
    def start(self, *_): pass
    def describe(self, *_): pass
    def advance(self, n): print(n, flush=True)

def go_on(steps):
    asked = iter([False] * (steps - 1) + [True])
    return run(TrainConfig.load(folder.config), folder, torch.device("cpu"), Loud(), lambda: next(asked))

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = RunFolder(Path(sys.argv[1]))
    for steps in map(int, sys.argv[2:]):
        assert go_on(steps).images == 4 * steps
    assert go_on(1000).finished
"""


@pytest.fixture(scope="module")
def start_run(tmp_path_factory):
    script = tmp_path_factory.mktemp("script") / "worker.py"
    script.write_text(WORKER)

    def start(folder: RunFolder, *stops: int) -> subprocess.Popen[str]:
        command = [sys.executable, script, folder.path, *map(str, stops)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def finish(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate()
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def undisturbed(config, start_run, tmp_path_factory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "undisturbed")
    folder.begin(config)
    finish(start_run(folder))
    return folder


def curve(folder: RunFolder) -> list[dict]:
    return [{name: value for name, value in line.items() if "second" not in name} for line in folder.lines()]


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.model / "model.safetensors")


def same(one: RunFolder, other: RunFolder) -> bool:
    assert curve(one) == curve(other)
    return all(torch.equal(weights(one)[name], tensor) for name, tensor in weights(other).items())


def test_a_run_that_is_killed_twice_ends_as_if_nothing_had_happened(config, start_run, undisturbed, tmp_path):
    folder = RunFolder(tmp_path / "killed")
    folder.begin(replace(config, workers=1, checkpoint_minutes=0))  # a checkpoint after every step
    for steps in (9, 6):
        process = start_run(folder)
        for _ in range(steps):
            process.stdout.readline()
        process.kill()
        process.wait()  # communicate() would wait for the run's helper as well, which notices within seconds
        process.stdout.close()
        process.stderr.close()
    killed_at = json.loads(folder.metrics.read_text().splitlines()[-1])["images"] if folder.lines() else 0
    assert killed_at < config.images
    assert folder.checkpoint.exists()

    finish(start_run(folder))
    assert same(folder, undisturbed)


def test_a_run_that_is_stopped_goes_on(config, start_run, undisturbed, tmp_path):
    folder = RunFolder(tmp_path / "stopped")
    folder.begin(config)
    finish(start_run(folder, 5))
    assert same(folder, undisturbed)


def test_a_finished_run_stays_as_it_is(config, undisturbed):
    before = curve(undisturbed)
    assert run(config, undisturbed, CPU, SilentProgress(), lambda: False).finished
    assert curve(undisturbed) == before


def test_other_options_are_refused(undisturbed):
    with pytest.raises(UsageError, match="seed is 0, not 1"):
        train(undisturbed.path, Wishes(fields=(("seed", 1),)), device="cpu")
    with pytest.raises(UsageError, match="stages"):
        train(undisturbed.path, Wishes(size=128), device="cpu")
    assert train(undisturbed.path, Wishes(fields=(("workers", 0), ("seed", 0))), device="cpu").finished


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_checkpoint_is_named(config, undisturbed, tmp_path, damage):
    folder = RunFolder(tmp_path / "damaged")
    folder.begin(config)
    content = undisturbed.checkpoint.read_bytes()
    folder.checkpoint.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(InvalidModelError, match="checkpoint"):
        run(config, folder, CPU, SilentProgress(), lambda: False)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_saves_when_told_to_stop(coco_folder, tmp_path, number, status):
    folder = tmp_path / "run"
    command = [
        sys.executable, "-c", "import typer; from kkg_area_detection.cli.train import train; typer.run(train)",
        str(folder), "--data", str(coco_folder), "--mix", "1", "--preset", "tiny", "--size", "64", "--batch", "2",
        "--images", "4000", "--workers", "1", "--device", "cpu",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not Path(folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").read_text():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, number)  # Ctrl-C, or the end of a service: every process hears it
    _, said = process.communicate(timeout=30)
    assert process.returncode == status, said
    assert f"kkg train {folder}" in said
    assert "Traceback" not in said
    assert (folder / "checkpoint.safetensors").exists()
