from pathlib import Path

import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.errors import ModelNotFoundError, SettingsError, UsageError
from kkg_area_detection.hub import inventory
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.settings import Settings
from tests.conftest import write_tiny_model
from tests.hub.test_staging import leave_behind


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache.at([tmp_path / "cache"])


def pull(s3: LocalS3, prefix: str, model: Path) -> Path:
    s3.upload(model, f"{prefix}large/")
    return resolve_model(None, "large", SilentProgress())


def test_local_models(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str], cache: ModelCache
) -> None:
    pull(s3, prefix, tiny_model)
    write_tiny_model(cache.layers[0] / "mine")
    (write_tiny_model(cache.layers[0] / "broken") / "config.json").unlink()
    broken, large, mine = inventory.local_models(cache)
    assert (large.name, large.problem, large.verified) == ("large", "", True)
    assert large.source == f"s3://{s3.bucket}/{prefix}large/"
    assert large.size == sum(path.stat().st_size for path in tiny_model.iterdir())
    assert (mine.source, mine.verified, mine.problem) == ("", False, "")
    assert "config.json is missing" in broken.problem


def test_no_cache_yet(cache: ModelCache) -> None:
    assert list(inventory.local_models(cache)) == []


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{model_name}/", {"large", "small"}),
        ("{model_name}/model.safetensors", {"large", "small"}),
        ("{model_name}.zip", {"packed"}),
        ("{model_name}/{model_name}.zip", {"twice"}),
    ],
)
def test_remote_models(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    template: str,
    names: set[str],
) -> None:
    for name in ("large", "small"):
        s3.upload(tiny_model, f"{prefix}{name}/")
    client = s3.client(s3.admin)
    for key in ("packed.zip", "twice/twice.zip"):
        client.put_object(Bucket=s3.bucket, Key=prefix + key, Body=b"x")
    monkeypatch.setenv("S3_MODEL_KEY", prefix + template)
    found = inventory.remote_models(Settings.load())
    assert names <= {one.name for one in found}
    assert {one.name for one in found} - names <= {"twice"}
    assert all(one.size and one.modified_at.startswith("20") for one in found)


def test_one_key_for_one_model_cannot_be_listed() -> None:
    with pytest.raises(SettingsError, match="names one model"):
        inventory.remote_models(Settings(bucket="b", model_key="models/"))


def test_preview(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str], cache: ModelCache
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    found = inventory.preview("large", Settings.load(), cache)
    assert set(found.checksums) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert {checksum.algorithm for checksum in found.checksums.values() if checksum} == {"CRC32"}
    assert found.free_bytes > 0
    assert not (cache.layers[0] / "large").exists()


def test_remove(cache: ModelCache) -> None:
    directory = write_tiny_model(cache.layers[0] / "large")
    own = cache.layers[0] / "notes" / "diary.txt"
    own.parent.mkdir()
    own.write_text("mine")
    with pytest.raises(ModelNotFoundError):
        inventory.remove(cache, "notes")
    assert own.exists()
    assert inventory.remove(cache, "large") > 64
    assert not directory.exists()
    with pytest.raises(ModelNotFoundError, match="kkg models list"):
        inventory.remove(cache, "large")
    with pytest.raises(UsageError):
        inventory.remove(cache, "../large")


def test_prune(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str], cache: ModelCache
) -> None:
    directory = pull(s3, prefix, tiny_model)
    leave_behind(cache.layers[0] / ".kkg" / "staging", "small")
    receipts = cache.layers[0] / ".kkg" / "receipts"
    (receipts / "gone.json").write_text("{}")
    assert inventory.prune(cache) > 0
    assert not list((cache.layers[0] / ".kkg" / "staging").iterdir())
    assert [path.name for path in receipts.iterdir()] == ["large.json"]
    assert cache.find("large") == directory
    assert inventory.prune(cache) == 0
