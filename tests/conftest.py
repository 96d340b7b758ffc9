"""Fixtures for all tests: a clean environment, a real S3 server, and small models."""

from __future__ import annotations

import json
import os
import signal
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from kkg_area_detection import api, settings
from kkg_area_detection.demo.local_s3 import LocalS3, local_s3

# The same examples in each run; `python -m pytest --hypothesis-profile=default` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees this machine's credentials, settings, `.env` or loaded model."""
    for name in list(os.environ):
        if name.upper().startswith(
            ("AWS_", "S3_", "KKG_", "MODEL_CACHE_DIR", "HTTP", "ALL_PROXY", "NO_PROXY")
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(api, "_current", None)
    yield
    for name in settings._taken_from_dotenv:
        os.environ.pop(name, None)
    settings._taken_from_dotenv.clear()


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_works() -> Iterator[None]:
    """Also where the tests run in the background of a shell, which has Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def s3() -> Iterator[LocalS3]:
    """The real server, started once."""
    with local_s3("models-bucket") as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """A prefix of the test's own, so that tests share one server."""
    return f"{uuid.uuid4().hex}/"


@pytest.fixture
def reader_environment(
    s3: LocalS3, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The variables of a user whose models lie at `<prefix>{model_name}/`."""
    variables = {
        **s3.reader.environment(),
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "S3_BUCKET_NAME": s3.bucket,
        "S3_MODEL_KEY": prefix + "{model_name}/",
        "MODEL_CACHE_DIR": str(tmp_path / "cache"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A directory that passes the load gate: enough for everything that does not run the network."""
    return write_tiny_model(tmp_path / "tiny-model")


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The bundled model."""
    return api.demo_model_path()


@pytest.fixture(scope="session")
def sample_plans() -> dict[str, Path]:
    """The sample plans by name."""
    folder = Path(__file__).parents[1] / "examples" / "plans"
    return {path.stem: path for path in sorted(folder.glob("*.png"))}


def write_tiny_model(directory: Path, *, filler: int = 64) -> Path:
    """Write the smallest well-formed model: a config and one tensor of `filler` bytes."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({"model_type": "mask2former"}))
    (directory / "preprocessor_config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(safetensors_bytes(bytes(filler)))
    return directory


def safetensors_bytes(data: bytes, header: object = None) -> bytes:
    """A safetensors file of one uint8 tensor; `header` replaces the right one."""
    if header is None:
        header = {"weight": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data
