import logging
import os
from pathlib import Path

import pytest

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError, SettingsError, UsageError
from kkg_area_detection.hub import fetch
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.receipt import Receipt
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
from tests.conftest import write_tiny_model

SILENT = SilentProgress()


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names that were asked of S3; nothing is fetched."""
    names: list[str] = []

    def fake(name: str, *_: object, refresh: bool) -> Path:
        names.append(name)
        return tmp_path / "fetched" / name

    monkeypatch.setattr(fetch, "fetch_model", fake)
    return names


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def configure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "bucket")
    monkeypatch.setenv("S3_MODEL_KEY", "models/{model_name}/")


@pytest.mark.parametrize("as_text", [True, False])
def test_a_path_wins_over_everything(
    tiny_model: Path, cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, as_text: bool
) -> None:
    write_tiny_model(cache / "large")
    (Path.cwd() / ".env").write_bytes(b"\xff\xff not even read")
    path = str(tiny_model) if as_text else tiny_model
    assert resolve_model(path, "large", SILENT) == tiny_model
    assert fetched == []


def test_a_path_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = write_tiny_model(Path(os.environ["HOME"]) / "model")
    assert resolve_model("~/model", None, SILENT) == expected


def test_a_wrong_path_does_not_fall_through(cache: Path, fetched: list[str]) -> None:
    write_tiny_model(cache / "large")
    with pytest.raises(ModelNotFoundError):
        resolve_model("nowhere", "large", SILENT)
    assert fetched == []


def test_the_cache_comes_before_s3(cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch)
    expected = write_tiny_model(cache / "large")
    assert resolve_model(None, "large", SILENT) == expected
    assert fetched == []


def test_what_is_not_cached_comes_from_s3(
    cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(monkeypatch)
    assert resolve_model(None, "large", SILENT) == tmp_path / "fetched" / "large"
    assert fetched == ["large"]


def test_what_is_damaged_comes_from_s3(
    cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configure(monkeypatch)
    (write_tiny_model(cache / "large") / "config.json").unlink()
    with caplog.at_level(logging.WARNING):
        resolve_model(None, "large", SILENT)
    assert fetched == ["large"]
    assert "config.json is missing" in caplog.text


def test_what_is_damaged_is_an_error_without_s3(cache: Path, fetched: list[str]) -> None:
    (write_tiny_model(cache / "large") / "config.json").unlink()
    with pytest.raises(InvalidModelError, match=r"config\.json is missing"):
        resolve_model(None, "large", SILENT)
    assert fetched == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "S3_BUCKET_NAME and S3_MODEL_KEY not set"),
        ({"S3_BUCKET_NAME": "bucket"}, "S3_MODEL_KEY not set"),
        ({"S3_MODEL_KEY": "key/"}, "S3_BUCKET_NAME not set"),
        ({"S3_BUCKET_NAME": " ", "S3_MODEL_KEY": "key/"}, "S3_BUCKET_NAME not set"),
    ],
)
def test_not_cached_and_not_configured(
    cache: Path, variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        resolve_model(None, "large", SILENT)
    assert words in str(caught.value)
    assert ".env" in str(caught.value)


def test_neither_path_nor_name() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_model(None, None, SILENT)
    assert "model_name=" in str(caught.value)
    assert "model_path=" in str(caught.value)


@pytest.mark.parametrize("name", ["", "../large", "a/b"])
def test_names_that_are_no_folders(name: str, fetched: list[str]) -> None:
    with pytest.raises(UsageError):
        resolve_model(None, name, SILENT)


def test_a_cached_model_from_elsewhere_is_remarked_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelCache.at([cache])
    with store.staging("large") as staging:
        staged = write_tiny_model(staging.directory / "staged")
        store.publish(staged, "large", Receipt("s3://old/large/", "now", (), {}))
    configure(monkeypatch)
    resolve_model(None, "large", SILENT)
    assert "was fetched from s3://old/large/" in caplog.text
    assert "s3://bucket/models/large/" in caplog.text


@pytest.mark.parametrize("cached", [True, False])
def test_refresh_asks_s3(
    cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    configure(monkeypatch)
    if cached:
        write_tiny_model(cache / "large")
    resolve_model(None, "large", SILENT, refresh=True)
    assert fetched == ["large"]


@pytest.mark.parametrize("refresh", [True, False])
def test_offline_uses_the_cache_and_nothing_else(
    cache: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, refresh: bool
) -> None:
    configure(monkeypatch)
    monkeypatch.setenv("KKG_OFFLINE", "1")
    with pytest.raises(ModelNotFoundError, match="KKG_OFFLINE forbids"):
        resolve_model(None, "large", SILENT, refresh=refresh)
    expected = write_tiny_model(cache / "large")
    assert resolve_model(None, "large", SILENT, refresh=refresh) == expected
    (expected / "config.json").unlink()
    with pytest.raises(InvalidModelError):
        resolve_model(None, "large", SILENT, refresh=refresh)
    assert fetched == []


def test_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.setenv("MODEL_CACHE_DIR", f"{one}{os.pathsep}{two}")
    in_one = write_tiny_model(one / "large")
    in_two = write_tiny_model(two / "small")
    assert resolve_model(None, "large", SILENT) == in_one
    assert resolve_model(None, "small", SILENT) == in_two
