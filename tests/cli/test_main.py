"""The real command in real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.cli.main import _end_in_order_on
from kkg_area_detection.cli.segment import _jobs


def kkg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kkg_area_detection", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


@pytest.mark.parametrize("program", ["kkg", "kkg-area-detection"])
def test_the_commands_are_installed(program: str) -> None:
    path = shutil.which(program, path=str(Path(sys.executable).parent))
    assert path
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kkg-area-detection ")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "Usage"),
        (["--help"], 0, "segment"),
        (["segmnt"], 2, "No such command"),
        (["segment"], 2, "Missing argument"),
        (["segment", "x.png"], 1, "--model-name (-n) NAME, or --model-path (-p) DIRECTORY"),
        (["segment", "x.png", "-p", "nowhere"], 1, "There is no model directory nowhere"),
        (["segment", "x.png", "-n", "large"], 1, "S3_BUCKET_NAME and S3_MODEL_KEY not set"),
        (["segment", "x.png", "-n", "large", "-d", "tpu9"], 1, "tpu9"),
        (["segment", "x.png", "-n", "large", "--threshold", "2"], 2, "threshold"),
        (["demo", "-o", "x.png"], 1, "Cannot write x.png: File exists"),
    ],
)
def test_wrong_use_is_explained(arguments: list[str], status: int, words: str) -> None:
    Image.new("L", (4, 4)).save("x.png")
    done = kkg(*arguments)
    assert done.returncode == status
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_segment(demo_model: Path, tmp_path: Path, sample_plans: dict[str, Path]) -> None:
    plan = tmp_path / "図面 1階.png"
    shutil.copy(sample_plans["apartment-ja"], plan)
    out = tmp_path / "結果"
    done = kkg("segment", plan, "-p", demo_model, "-d", "cpu", "-o", out)
    assert done.returncode == 0, done.stderr
    assert "room" in done.stdout
    document = json.loads((out / "図面 1階.segments.json").read_text(encoding="utf-8"))
    with Image.open(plan) as image, Image.open(out / "図面 1階.segments.png") as picture:
        assert (document["width"], document["height"]) == image.size
        assert picture.width == image.width
    labels = [segment["label"] for segment in document["segments"]]
    assert labels.count("room") >= 5

    again = kkg("segment", plan, "-p", demo_model, "-d", "cpu", "-o", out)
    assert again.returncode == 1
    assert "--force" in again.stderr
    assert kkg("segment", plan, "-p", demo_model, "-d", "cpu", "-o", out, "--force").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.png"], "Error: There is no file gone.png."),
        (["gone.png", "x.png", "lost.png"], "Error: There is no file gone.png.\nThere is no file lost.png."),
        (["x.png", "-o", "x.png"], "Cannot write x.png: File exists."),
        (["x.png", "-o", "x.png/below"], "Cannot write x.png"),
        (["x.png", "-o", "taken"], "x.segments.png: it is a directory"),
        (["x.png", "-o", "done"], "x.segments.json exists.\n  Next step: pass --force"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(arguments: list[str], words: str) -> None:
    Image.new("L", (4, 4)).save("x.png")
    Path("taken", "x.segments.png").mkdir(parents=True)
    Path("done").mkdir()
    Path("done", "x.segments.json").touch()
    done = kkg("segment", *arguments, "-p", "nowhere")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Loading" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_batch_with_a_bad_drawing(
    demo_model: Path, sample_plans: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three names that collide, one with rich's markup, one damaged; on a console that knows ASCII only."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with Image.open(sample_plans["house-ja"]) as plan:
        small = plan.resize((200, 150))
    Path("x").mkdir()
    images = [Path("図 [bold]1F[/x].png"), Path("x/図 [bold]1F[/x].png"), Path("図 [bold]1F[/x]-2.png")]
    images = [Path(str(path).replace("[/x]", "[red]")) for path in images]
    for path in images:
        small.save(path)
    Path("empty.png").touch()
    done = kkg("segment", "empty.png", *images, "-p", demo_model, "-d", "cpu", "-o", "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Loading ...\n")
    assert "empty.png is not an image" in done.stderr
    assert done.stderr.endswith("1 of 4 drawings failed: empty.png\n")
    assert done.stdout.count("? [bold]1F[red].png: ") == 2
    stems = [f"図 [bold]1F[red]{number}" for number in ("", "-2", "-2-2")]
    names = {f"{stem}.segments.{kind}" for stem in stems for kind in ("json", "png")}
    assert {path.name for path in Path("out").iterdir()} == names


def test_names_that_differ_in_case_only() -> None:
    jobs = _jobs([Path("A.png"), Path("a.png"), Path("x/A.png")], Path("out"))
    assert [job.picture.name for job in jobs] == [
        "A.segments.png",
        "a-2.segments.png",
        "A-3.segments.png",
    ]


def test_verbose_shows_where_an_error_came_from(demo_model: Path) -> None:
    Path("x.png").touch()
    quiet = kkg("segment", "x.png", "-p", demo_model, "-d", "cpu")
    verbose = kkg("-v", "segment", "x.png", "-p", demo_model, "-d", "cpu")
    assert quiet.returncode == verbose.returncode == 1
    assert "Traceback" not in quiet.stderr
    assert "INFO kkg_area_detection.api: Loading" in verbose.stderr
    assert "PIL.UnidentifiedImageError" in verbose.stderr
    assert "DEBUG kkg_area_detection" in verbose.stderr


def test_verbose_shows_the_cause_of_an_error_that_ends_the_command(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save("x.png")
    assert "NotADirectoryError" not in kkg("segment", "x.png/x", "-p", tmp_path).stderr
    assert "NotADirectoryError" in kkg("-v", "segment", "x.png/x", "-p", tmp_path).stderr


def heed_signals() -> None:
    """Runs in the child: whoever runs the tests in the background, or under nohup, has it ignore some."""
    for name in ("SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (signal.SIGINT, 130, "Interrupted."),
        (signal.SIGTERM, 143, ""),
        (getattr(signal, "SIGHUP", None), 129, ""),
    ],
)
def test_signals_end_a_stalled_download_at_once(
    sent: signal.Signals, status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts connections and never answers."""
    Image.new("L", (4, 4)).save("x.png")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name, value in {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "S3_BUCKET_NAME": "bucket",
            "S3_MODEL_KEY": "key/",
            "MODEL_CACHE_DIR": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-m", "kkg_area_detection", "segment", "x.png", "-n", "large", "-d", "cpu"]
        popen = partial(subprocess.Popen, preexec_fn=heed_signals)
        with popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # the request is on its way
            with connection:
                time.sleep(0.2)
                process.send_signal(sent)
                began = time.monotonic()
                _, stderr = process.communicate(timeout=20)
    assert time.monotonic() - began < 3
    assert process.returncode == status
    assert words in stderr
    assert "Traceback" not in stderr


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
def test_nohup_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _end_in_order_on("SIGHUP")
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
