"""Thousands of downloads through a bad network, on a small disk, and side by side. Run by `make faults`.

KKG_FAULT_TRIALS=20000 make faults
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from tests.faults.fault_front import (
    FAULTS,
    Exchange,
    Fault,
    FaultFront,
    Pattern,
    Schedule,
    objects,
    pass_through,
)
from tests.faults.storm import (
    LARGE_WEIGHTS,
    SMALL_WEIGHTS,
    Outcome,
    Shelf,
    Trial,
    Worker,
    attempt,
    digests,
    environment,
    run_trials,
    table,
)

pytestmark = pytest.mark.faults

TRIALS = int(os.environ.get("KKG_FAULT_TRIALS", "2320"))
SEED = 20261122
LARGE_SHARE = 0.1

FETCH = """
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
print(resolve_model(None, "large", SilentProgress()), flush=True)
"""


@pytest.fixture(scope="module")
def shelf(s3: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(s3, tmp_path_factory.mktemp("models"))


def made_up_trials(count: int) -> Iterator[Trial]:
    """Every fault in every pattern in turn, so that a short run is a fair sample of a long one."""
    rng = random.Random(SEED)
    combinations = itertools.cycle(itertools.product(Pattern, FAULTS))
    for pattern, fault in itertools.islice(combinations, count):
        weights = LARGE_WEIGHTS if rng.random() < LARGE_SHARE else rng.choice(SMALL_WEIGHTS)
        yield Trial(fault, pattern, rng.getrandbits(32), weights)


def test_storm(
    shelf: Shelf, reader_environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tallies = run_trials(made_up_trials(TRIALS), shelf, tmp_path / "storm")
    with capsys.disabled():
        print(f"\n\n{table(tallies)}\n")
    assert {name for name, tally in tallies.items() if not tally.is_good} == set()
    assert all(tally.struck for tally in tallies.values()), "a fault never struck"


# --- processes that race ------------------------------------------------------------------------------------


@pytest.mark.parametrize("racers", [2, 4, 8, 16])
def test_racing_processes_fetch_once(
    racers: int,
    shelf: Shelf,
    reader_environment: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = shelf.shared(LARGE_WEIGHTS)
    cache = tmp_path / "cache"
    with FaultFront(shelf.server, admin=shelf.admin) as front:
        variables = os.environ | environment(model, front.endpoint, cache)
        processes = [
            subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True, env=variables)
            for _ in range(racers)
        ]
        outputs = [process.communicate()[0].strip() for process in processes]
    ratio = front.counts.object_bytes / sum(path.stat().st_size for path in (cache / "large").iterdir())
    with capsys.disabled():
        print(f"\n{racers} processes at once: bytes served / model size = {ratio:.3f}")
    assert outputs == [str(cache / "large")] * racers
    assert digests(cache / "large") in model.generations
    assert [path.name for path in cache.iterdir() if path.name != ".kkg"] == ["large"]
    assert ratio <= 1.05


# --- a disk that is, or becomes, full -----------------------------------------------------------------------


@contextmanager
def mounted(directory: Path, n_bytes: int) -> Iterator[Path]:
    """A file system of this size; the test is skipped where none can be mounted."""
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(directory)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (it takes root)")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@pytest.fixture
def worker(reader_environment: dict[str, str]) -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_disk_that_is_too_small(share: float, shelf: Shelf, worker: Worker, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", int(LARGE_WEIGHTS * share)) as disk:
        model = shelf.shared(LARGE_WEIGHTS)
        outcome, detail, _ = attempt(model, Schedule(), shelf, worker, disk / "cache")
        assert (outcome, detail.partition(":")[0]) == (Outcome.ERROR, "DiskFullError"), detail


@pytest.mark.parametrize("seed", range(10))
def test_a_disk_that_something_else_fills(seed: int, shelf: Shelf, worker: Worker, tmp_path: Path) -> None:
    """Something takes the last byte during a download; once that is gone, all is well again."""
    with mounted(tmp_path / "disk", LARGE_WEIGHTS * 3 // 2) as disk:
        model = shelf.shared(LARGE_WEIGHTS)

        def fill_disk(exchange: Exchange) -> None:
            fill(disk / "filler")
            pass_through(exchange)

        schedule = Schedule(Fault(fill_disk, objects, usual=20), Pattern.ONCE, seed)
        outcome, detail, _ = attempt(model, schedule, shelf, worker, disk / "cache")
        if outcome is not Outcome.RIGHT:  # right where the space was reserved, or all was written
            assert (outcome, detail.partition(":")[0]) == (Outcome.ERROR, "DiskFullError"), detail
        (disk / "filler").unlink(missing_ok=True)
        outcome, detail, _ = attempt(model, Schedule(), shelf, worker, disk / "cache")
        assert outcome is Outcome.RIGHT, detail


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limits on the size of files")
def test_a_limit_on_the_size_of_files(
    shelf: Shelf, reader_environment: dict[str, str], tmp_path: Path
) -> None:
    """`ulimit -f`: writing fails with EFBIG, for those who ignore the signal as Python does."""
    model = shelf.shared(LARGE_WEIGHTS)
    cache = tmp_path / "cache"
    worker = Worker(launcher=["sh", "-c", 'ulimit -f 4000; exec "$@"', "sh"])  # blocks of 512 or 1024 bytes
    try:
        outcome, detail, _ = attempt(model, Schedule(), shelf, worker, cache)
    finally:
        worker.stop()
    assert outcome is Outcome.ERROR, detail
