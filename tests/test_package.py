"""What a user sees of the package before anything is loaded."""

import json
import subprocess
import sys

import pytest

import kkg_area_detection

HEAVY = ["torch", "transformers", "boto3", "botocore", "numpy", "PIL", "rich", "cv2", "shapely"]


def test_import_is_light() -> None:
    code = (
        f"import kkg_area_detection, sys, json; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_help_needs_no_torch_and_no_boto3() -> None:
    code = (
        "import sys\nfrom kkg_area_detection.cli.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'boto3', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert b"segment" in done.stdout


def test_import_is_fast() -> None:
    code = "import time; t = time.perf_counter(); import kkg_area_detection; print(time.perf_counter() - t)"
    best = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    )
    assert best < 0.3


@pytest.mark.parametrize("name", kkg_area_detection.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(kkg_area_detection, name) is not None
    assert name in dir(kkg_area_detection)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'initialise_model'"):
        kkg_area_detection.initialise_model  # noqa: B018
