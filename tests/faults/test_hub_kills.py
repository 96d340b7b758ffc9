"""SIGKILL at random moments, and processes that race for one model. Slow: run by `make faults`."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from tests.conftest import safetensors_bytes, write_tiny_model

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")]

KILLS = 200
RACERS = 16
WEIGHTS = 40_000_000

FETCH = """
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
print(resolve_model(None, "large", SilentProgress()), flush=True)
"""


def fetch() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FETCH], stdout=subprocess.PIPE, text=True)


def digests(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.is_file()
    }


@pytest.fixture
def large(s3: LocalS3, prefix: str, tmp_path: Path, reader_environment: dict[str, str]) -> dict[str, str]:
    """A model of 40 MB is at `large`; returns the digests of its files."""
    model = write_tiny_model(tmp_path / "large-model")
    (model / "model.safetensors").write_bytes(safetensors_bytes(os.urandom(WEIGHTS)))
    s3.upload(model, f"{prefix}large/")
    return digests(model)


def test_a_killed_download_leaves_all_or_nothing(
    large: dict[str, str], reader_environment: dict[str, str]
) -> None:
    rng = random.Random(20261122)
    target = Path(reader_environment["MODEL_CACHE_DIR"]) / "large"
    began = time.monotonic()
    with fetch() as process:
        assert process.wait() == 0
    usual_s = time.monotonic() - began
    published = 0
    for _ in range(KILLS):
        if target.exists():
            target.rename(target.parent / ".kkg" / "staging" / f"gone-{time.monotonic_ns()}")
        with fetch() as process:
            time.sleep(rng.uniform(0, usual_s * 1.1))
            process.kill()
        if target.exists():
            published += 1
            assert digests(target) == large
    with fetch() as process:
        assert process.wait() == 0
    assert digests(target) == large
    print(f"{KILLS} kills: {published} came after publishing, {KILLS - published} before; wrong bytes: 0")


def test_racing_processes_all_get_the_model(
    large: dict[str, str], reader_environment: dict[str, str]
) -> None:
    racers = [fetch() for _ in range(RACERS)]
    outputs = [process.communicate()[0] for process in racers]
    target = Path(reader_environment["MODEL_CACHE_DIR"]) / "large"
    assert [process.returncode for process in racers] == [0] * RACERS
    assert {output.strip() for output in outputs} == {str(target)}
    assert digests(target) == large
    assert not list((target.parent / ".kkg" / "staging").iterdir())
