import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kkg_area_detection.areas.output import OutputError
from kkg_area_detection.demo import walkthrough
from kkg_area_detection.demo.local_s3 import LocalS3Error
from kkg_area_detection.demo.walkthrough import DemoError, run_demo, sample_plans
from kkg_area_detection.errors import ImageNotFoundError


def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the reader's own files and settings would be in its way."""
    out = tmp_path / "demo-output"
    (out / "model_cache").mkdir(parents=True)
    (out / "model_cache" / "precious").touch()
    Path(".env").write_text(
        "HTTP_PROXY=http://127.0.0.1:9\nAWS_NO_SIGN_REQUEST=true\nMODEL_CACHE_DIR=/nowhere\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "nope")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    command = [sys.executable, "-m", "kkg_area_detection", "demo", "--output", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "First run, from S3:" in done.stdout
    assert "Second run, from the cache:" in done.stdout
    assert done.stderr.count("Fetching model 'demo'") == 1
    assert "all rooms" in done.stdout
    kinds = ("png", "svg", "dxf", "geojson", "csv", "xlsx")
    results = {f"{plan.stem}.areas.{kind}" for plan in sample_plans() for kind in kinds}
    assert {path.name for path in out.iterdir()} == {*results, "model_cache"}
    assert [path.name for path in (out / "model_cache").iterdir()] == ["precious"]


def broken() -> None:
    raise LocalS3Error("The local S3 server did not come up.")


def test_without_a_server_it_goes_on_from_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walkthrough, "local_s3", broken)
    said: list[str] = []
    run_demo(sample_plans()[:1], tmp_path / "out", said.append)
    assert any("Going on without it" in line for line in said)
    assert list((tmp_path / "out").glob("*.areas.png"))


def test_a_step_that_fails(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(DemoError, match="status 1"):
        run_demo([tmp_path / "empty.png"], tmp_path / "out", lambda _: None)


def test_what_cannot_work_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(walkthrough, "local_s3")
    with pytest.raises(ImageNotFoundError, match=r"gone\.png"):
        run_demo([tmp_path / "gone.png"], tmp_path / "out", lambda _: None)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        run_demo([], tmp_path / "file" / "out", lambda _: None)


def test_relative_paths_are_the_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walkthrough, "local_s3", broken)
    shutil.copy(sample_plans()[0], "my plan.png")
    run_demo([Path("my plan.png")], Path("out"), lambda _: None)
    assert Path("out/my plan.areas.png").exists()
