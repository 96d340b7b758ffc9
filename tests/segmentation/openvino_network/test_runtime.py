import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("statements", "events"),
    [
        (
            "from kkg_area_detection.segmentation.openvino_network.runtime import core; core.available_devices",
            False,
        ),
        ("import openvino", True),  # else this test would show nothing
    ],
)
def test_nothing_is_reported(statements, events, tmp_path):
    """What would be sent is counted in the home directory first."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")
    }
    environment |= {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    subprocess.run([sys.executable, "-c", statements], env=environment, check=True)
    assert (tmp_path / "intel").exists() is events


def test_what_reports_can_be_imported_afterwards():
    ours = "from kkg_area_detection.segmentation.openvino_network.runtime import core"
    subprocess.run([sys.executable, "-c", f"{ours}; import openvino_telemetry"], check=True)
