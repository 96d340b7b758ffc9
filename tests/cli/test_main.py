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
from pathlib import Path

import pytest
from PIL import Image


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
        (["segment", "x.png"], 1, "pass model_name='large'"),
        (["segment", "x.png", "-p", "nowhere"], 1, "There is no model directory nowhere"),
        (["segment", "x.png", "-n", "large"], 1, "S3_BUCKET_NAME and S3_MODEL_KEY not set"),
        (["segment", "x.png", "-n", "large", "-d", "tpu9"], 1, "tpu9"),
        (["segment", "x.png", "-n", "large", "--threshold", "2"], 2, "threshold"),
    ],
)
def test_wrong_use_is_explained(arguments: list[str], status: int, words: str) -> None:
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


def test_a_missing_drawing(demo_model: Path, tmp_path: Path) -> None:
    done = kkg("segment", tmp_path / "gone.png", "-p", demo_model, "-d", "cpu")
    assert done.returncode == 1
    assert "There is no file" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_stalled_download_at_once(
    sent: signal.Signals, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts connections and never answers."""
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
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()  # the request is on its way
            with connection:
                time.sleep(0.2)
                process.send_signal(sent)
                began = time.monotonic()
                _, stderr = process.communicate(timeout=20)
    assert time.monotonic() - began < 3
    assert process.returncode == status
    assert "Traceback" not in stderr
