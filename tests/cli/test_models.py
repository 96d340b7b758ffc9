"""The real command against the real server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from tests.cli.test_main import kkg


@pytest.fixture
def pulled(s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]) -> Path:
    s3.upload(tiny_model, f"{prefix}large/")
    done = kkg("models", "pull", "large")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_pull_path_and_list(pulled: Path) -> None:
    assert (pulled / "config.json").exists()
    assert kkg("models", "path", "large").stdout.strip() == str(pulled)
    (listed,) = json.loads(kkg("models", "list", "--json").stdout)
    assert (listed["name"], listed["verified"]) == ("large", True)
    assert "verified" in kkg("models", "list").stdout
    (remote,) = json.loads(kkg("models", "list", "--remote", "--json").stdout)
    assert remote["name"] == "large"


def test_dry_run(s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    done = kkg("models", "pull", "large", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "3 files" in done.stdout
    assert "Nothing was fetched" in done.stdout
    assert "There are no models" in kkg("models", "list").stdout


def test_verify(pulled: Path) -> None:
    done = kkg("models", "verify", "large")
    assert done.returncode == 0, done.stderr
    assert "is what was fetched from s3://" in done.stdout
    weights = pulled / "model.safetensors"
    status = weights.stat()
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = kkg("models", "verify", "large")
    assert done.returncode == 1
    assert "model.safetensors does not have the checksum" in done.stderr


def test_verify_deep(pulled: Path) -> None:
    done = kkg("models", "verify", "large", "--deep")
    assert done.returncode == 1  # the tiny model only passes the load gate
    assert "backbone_config" in done.stderr


def test_refresh(pulled: Path, s3: LocalS3, prefix: str) -> None:
    s3.client(s3.admin).put_object(
        Bucket=s3.bucket, Key=f"{prefix}large/config.json", Body=b'{"model_type": "mask2former", "new": 1}'
    )
    assert "new" not in (pulled / "config.json").read_text()
    assert kkg("models", "pull", "large").returncode == 0
    assert "new" not in (pulled / "config.json").read_text()
    assert kkg("models", "pull", "large", "--refresh").returncode == 0
    assert "new" in (pulled / "config.json").read_text()


def test_remove_and_prune(pulled: Path) -> None:
    assert kkg("models", "remove", "large", "--yes").returncode == 0
    assert not pulled.exists()
    assert "Freed 0 B" in kkg("models", "prune").stdout


@pytest.mark.parametrize("command", ["path", "verify", "remove"])
def test_a_model_that_is_not_there(command: str, reader_environment: dict[str, str]) -> None:
    done = kkg("models", command, "nothing")
    assert done.returncode == 1
    assert "Model 'nothing' is not in the cache" in done.stderr
    assert "Traceback" not in done.stderr
