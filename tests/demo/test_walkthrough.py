import subprocess
import sys
from pathlib import Path

import pytest

from kkg_area_detection.demo import walkthrough
from kkg_area_detection.demo.local_s3 import LocalS3Error
from kkg_area_detection.demo.walkthrough import DemoError, run_demo, sample_plans


def test_the_demo(tmp_path: Path) -> None:
    out = tmp_path / "demo-output"
    command = [sys.executable, "-m", "kkg_area_detection", "demo", "--output", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "First run, from S3:" in done.stdout
    assert "Second run, from the cache:" in done.stdout
    assert done.stderr.count("Fetching model 'demo'") == 1
    for plan in sample_plans():
        assert (out / f"{plan.stem}.segments.png").exists()
        assert (out / f"{plan.stem}.segments.json").exists()
    assert (out / "model_cache" / "demo" / "config.json").exists()


def test_without_a_server_it_goes_on_from_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise LocalS3Error("The local S3 server did not come up.")

    monkeypatch.setattr(walkthrough, "local_s3", broken)
    said: list[str] = []
    run_demo(sample_plans()[:1], tmp_path / "out", said.append)
    assert any("Going on without it" in line for line in said)
    assert list((tmp_path / "out").glob("*.segments.png"))


def test_a_step_that_fails(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="status 1"):
        run_demo([tmp_path / "gone.png"], tmp_path / "out", lambda _: None)
