"""``kkg models push`` against the real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import kkg_area_detection as kkg
from kkg_area_detection.cli.main import app
from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.hub.manifest import MANIFEST_NAME, parse
from tests.cli.test_main import kkg as run_kkg


@pytest.fixture
def publisher_environment(
    s3: LocalS3, reader_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader's settings, with the keys of somebody who may write."""
    for name, value in s3.admin.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def pickled_model(demo_model: Path, tmp_path: Path) -> Path:
    """The bundled model as older releases of transformers saved it."""
    directory = tmp_path / "pickled"
    directory.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (directory / name).write_bytes((demo_model / name).read_bytes())
    torch.save(load_file(demo_model / "model.safetensors"), directory / "pytorch_model.bin")
    return directory


def run_here(*arguments: str | Path) -> Any:
    """In this process, which has imported torch already."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def stored(s3: LocalS3, key: str) -> bytes:
    return s3.client(s3.admin).get_object(Bucket=s3.bucket, Key=key)["Body"].read()


@pytest.mark.usefixtures("publisher_environment")
def test_push_and_load(s3: LocalS3, prefix: str, demo_model: Path) -> None:
    done = run_kkg("models", "push", demo_model, "--name", "demo")
    assert done.returncode == 0, done.stderr
    assert f"Published demo to s3://{s3.bucket}/{prefix}demo/" in done.stdout
    manifest = parse(stored(s3, f"{prefix}demo/{MANIFEST_NAME}"), "manifest")
    assert manifest.state == "complete"
    assert {file.path for file in manifest.files} == {path.name for path in demo_model.iterdir()}
    kkg.initialize_model(model_name="demo", device="cpu")

    again = run_here("models", "push", demo_model, "--name", "demo")
    assert isinstance(again.exception, kkg.KkgAreaDetectionError)
    assert "There is a model at" in str(again.exception)
    assert run_here("models", "push", demo_model, "--name", "demo", "--force").exit_code == 0


@pytest.mark.usefixtures("publisher_environment")
def test_push_with_conversion(s3: LocalS3, prefix: str, demo_model: Path, pickled_model: Path) -> None:
    refused = run_here("models", "push", pickled_model, "--name", "old")
    assert "as a pickle" in str(refused.exception)
    done = run_here("models", "push", pickled_model, "--name", "old", "--convert")
    assert done.exit_code == 0, done.exception
    listing = s3.client(s3.admin).list_objects_v2(Bucket=s3.bucket, Prefix=f"{prefix}old/")["Contents"]
    assert sorted(item["Key"].rpartition("/")[2] for item in listing) == [
        "config.json",
        MANIFEST_NAME,
        "model.safetensors",
        "preprocessor_config.json",
    ]
    kkg.initialize_model(model_name="old", device="cpu")


@pytest.mark.usefixtures("reader_environment")
@pytest.mark.parametrize(
    ("arguments", "variables", "status", "words"),
    [
        (["push"], {}, 2, "Missing argument"),
        (["push", "MODEL"], {}, 2, "--name"),
        (["push", "nowhere", "--name", "x"], {}, 1, "There is no model directory nowhere"),
        (["push", "nowhere", "--name", "x", "--convert"], {}, 1, "There is no directory nowhere"),
        (["push", "MODEL", "--name", "x", "--convert"], {}, 1, "without --convert"),
        (["push", "MODEL", "--name", "a/b"], {}, 1, "it contains a slash"),
        (["push", "MODEL", "--name", "x"], {"S3_MODEL_KEY": "models/large/"}, 1, "models/{model_name}/"),
        (["push", "MODEL", "--name", "x"], {"S3_BUCKET_NAME": ""}, 1, "S3_BUCKET_NAME not set"),
        (["push", "MODEL", "--name", "x"], {}, 1, "ask for s3:PutObject"),
    ],
)
def test_wrong_use_is_explained(
    demo_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    status: int,
    words: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    filled = [str(demo_model) if argument == "MODEL" else argument for argument in arguments]
    outcome = run_here("models", *filled)
    assert (2 if outcome.exit_code == 2 else 1) == status
    assert words in f"{outcome.output}{outcome.exception}"


@pytest.mark.usefixtures("publisher_environment")
def test_a_model_whose_weights_do_not_fit_is_not_published(
    s3: LocalS3, prefix: str, tiny_model: Path, demo_model: Path
) -> None:
    (tiny_model / "config.json").write_bytes((demo_model / "config.json").read_bytes())
    with pytest.raises(kkg.KkgAreaDetectionError, match="lack class_predictor"):
        kkg.publish_model(tiny_model, "x", progress=False)
    assert not s3.client(s3.admin).list_objects_v2(Bucket=s3.bucket, Prefix=prefix).get("Contents")
