"""`kkg doctor`: what is printed, and the exit status. In real processes where these make a difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from kkg_area_detection.cli.main import app
from kkg_area_detection.demo.local_s3 import LocalS3

COMMAND = [sys.executable, "-m", "kkg_area_detection", "doctor"]


def run(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        encoding=encoding,
        env=environment,
    )


def run_here(*arguments: str) -> Result:
    """In this process, which has imported torch already."""
    return CliRunner().invoke(app, ["doctor", *arguments])


@pytest.fixture
def sound(s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]) -> None:
    s3.upload(tiny_model, f"{prefix}large/")


def test_all_is_well(sound: None, s3: LocalS3) -> None:
    done = run()
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1].startswith(("All is well.", "Nothing stands in the way; "))
    assert any(line.startswith("+ ok       get: s3://models-bucket/") for line in lines)
    assert any(line.startswith("+ ok       torch: version ") for line in lines)
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert s3.reader.secret_key not in done.stdout


def test_a_failure(sound: None, monkeypatch: pytest.MonkeyPatch, s3: LocalS3) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-right-secret")
    done = run_here()
    assert done.exit_code == 1
    assert "x failure  bucket: S3 rejects the signature" in done.stdout
    assert "- skipped  get: needs " in done.stdout
    *_, empty, last = done.stdout.splitlines()
    assert empty == ""
    assert last == "Do this first: copy the secret again; if it is lost, create a new key pair."
    assert "not-the-right-secret" not in done.stdout + done.stderr


def test_json(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    report = json.loads(run_here("--json").stdout)
    assert report["ok"] is True
    assert report["do_first"] is None
    assert {one["name"] for one in report["findings"]} >= {"settings", "get", "cache", "torch", "GPU"}
    monkeypatch.setenv("S3_BUCKET_NAME", "")
    done = run_here("--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 1
    assert report["ok"] is False
    assert "S3_BUCKET_NAME" in report["do_first"]
    assert set(report["findings"][0]) == {"name", "status", "detail", "next_step"}


def test_a_console_that_cannot_show_a_path(
    sound: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "図面\N{HAPPY PERSON RAISING ONE HAND}"))
    result = CliRunner(charset="cp932").invoke(app, ["doctor"])  # as on Japanese Windows
    assert result.exit_code == 0, result.output
    assert "図面?: not there yet" in result.stdout


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pseudo-terminals for tests")
def test_on_a_narrow_terminal(sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("S3_MODEL_KEY", "nowhere/")
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        output = bytearray()
        while chunk := _read(ours):
            output += chunk
    os.close(ours)
    assert process.returncode == 1
    text = output.decode()
    assert "Checking endpoint ..." in text  # a long step shows that it is running
    lines = _without_escapes(text).splitlines()
    report = [line for line in lines if "Checking" not in line and "Do this first" not in line]
    assert any("x failure  list:" in line for line in report)
    assert max(cell_len(line) for line in report) <= 60
    assert lines[-1].startswith("Do this first: check S3_MODEL_KEY")


def test_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials and no network are needed."""
    monkeypatch.setenv("S3_BUCKET_NAME", "plans")
    monkeypatch.setenv("S3_MODEL_KEY", "models/{model_name}/")
    done = run("--iam-policy")
    assert done.returncode == 0, done.stderr
    resources = [statement["Resource"] for statement in json.loads(done.stdout)["Statement"]]
    assert resources == ["arn:aws:s3:::plans", "arn:aws:s3:::plans/models/*"]
    monkeypatch.delenv("S3_BUCKET_NAME")
    done = run("--iam-policy")
    assert done.returncode == 1
    assert "S3_BUCKET_NAME not set" in done.stderr


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux reports the end of a pseudo-terminal as an error
        return b""


def _without_escapes(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.replace("\r\n", "\n").replace("\r", "\n"))
