"""From a real S3 server into the cache."""

from __future__ import annotations

import io
import logging
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.errors import (
    DiskFullError,
    InvalidModelError,
    ObjectChangedError,
    UnsafeKeyError,
)
from kkg_area_detection.hub import fetch
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.fetch import fetch_model
from kkg_area_detection.hub.plan import RemoteObject
from kkg_area_detection.hub.publish import publish_directory
from kkg_area_detection.hub.s3 import S3Store
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.settings import Settings


def fetch_here(name: str = "large") -> Path:
    settings = Settings.load()
    return fetch_model(name, settings, ModelCache.at(settings.cache_dirs), SilentProgress())


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def put(s3: LocalS3, key: str, body: bytes) -> None:
    s3.client(s3.admin).put_object(Bucket=s3.bucket, Key=key, Body=body)


def test_a_prefix(s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]) -> None:
    (tiny_model / "sub" / "deep").mkdir(parents=True)
    (tiny_model / "sub" / "deep" / "メモ.txt").write_text("日本語")
    s3.upload(tiny_model, f"{prefix}large/")
    put(s3, f"{prefix}large/", b"")  # folder markers, as the S3 console makes them
    put(s3, f"{prefix}large/sub/", b"")
    directory = fetch_here()
    assert directory == Path(reader_environment["MODEL_CACHE_DIR"]) / "large"
    assert contents(directory) == contents(tiny_model)


def zipped(model: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in contents(model).items():
            archive.writestr(f"large/{name}", data)
    return buffer.getvalue()


def tarred(model: Path, mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        archive.add(model, ".")
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_an_archive(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packers = {".zip": zipped, ".tar": lambda m: tarred(m, "w"), ".tar.gz": lambda m: tarred(m, "w:gz")}
    put(s3, f"{prefix}large{suffix}", packers[suffix](tiny_model))
    monkeypatch.setenv("S3_MODEL_KEY", prefix + "{model_name}" + suffix)
    assert contents(fetch_here()) == contents(tiny_model)


def test_lone_weights(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = contents(tiny_model)
    (tiny_model / "model.safetensors").rename(tiny_model / "large.safetensors")
    s3.upload(tiny_model, prefix)
    monkeypatch.setenv("S3_MODEL_KEY", prefix + "{model_name}.safetensors")
    assert contents(fetch_here()) == original


def test_a_key_without_the_name(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.upload(tiny_model, f"{prefix}only/")
    monkeypatch.setenv("S3_MODEL_KEY", f"{prefix}only/")
    assert fetch_here("whatever").name == "whatever"


def test_a_broken_upload_is_not_published(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]
) -> None:
    weights = tiny_model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    s3.upload(tiny_model, f"{prefix}large/")
    with pytest.raises(InvalidModelError) as caught:
        fetch_here()
    assert f"s3://{s3.bucket}/{prefix}large/model.safetensors is truncated" in str(caught.value)
    cache = Path(reader_environment["MODEL_CACHE_DIR"])
    assert [path.name for path in cache.iterdir()] == [".kkg"]


def test_a_full_disk_is_found_before_the_first_byte(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))  # type: ignore[attr-defined]
    monkeypatch.setattr(fetch, "download", lambda *_: pytest.fail("a byte was fetched"))
    with pytest.raises(DiskFullError, match=r"needs \d+ B, but only 0 B are free"):
        fetch_here()


def test_it_is_logged(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    with caplog.at_level(logging.DEBUG):
        fetch_here()
    assert "Model 'large' is in" in caplog.text
    assert s3.reader.secret_key not in caplog.text


@pytest.mark.parametrize("odd", ["../evil.bin", "/etc/evil", "a\\..\\evil", "C:evil", "NUL", "CONFIG.JSON"])
def test_odd_keys(odd: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On moto, because the real server normalises such keys."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("S3_BUCKET_NAME", "odd")
    monkeypatch.setenv("S3_MODEL_KEY", "m/")
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="odd")
        for name, data in {**contents(tiny_model), odd: b"evil"}.items():
            client.put_object(Bucket="odd", Key=f"m/{name}", Body=data)
        before = set(tmp_path.rglob("*"))
        with pytest.raises(UnsafeKeyError) as caught:
            fetch_here()
    assert f"m/{odd}"[-8:] in str(caught.value) or odd in str(caught.value)
    new = {path for path in set(tmp_path.rglob("*")) - before if path.is_file() and path.suffix != ".lock"}
    assert new == set()


# --- refresh and manifest ----------------------------------------------------------------------------------


def refresh_here() -> Path:
    settings = Settings.load()
    return fetch_model("large", settings, ModelCache.at(settings.cache_dirs), SilentProgress(), refresh=True)


@pytest.fixture
def served(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys that were read from S3."""
    keys: list[str] = []
    read = S3Store.read

    def counting(self: S3Store, bucket: str, item: RemoteObject, *bounds: int) -> object:
        keys.append(item.key)
        return read(self, bucket, item, *bounds)

    monkeypatch.setattr(S3Store, "read", counting)
    return keys


def test_refresh_fetches_only_what_has_changed(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str], served: list[str]
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    directory = fetch_here()
    served.clear()
    assert refresh_here() == directory
    assert served == []
    put(s3, f"{prefix}large/preprocessor_config.json", b'{"new": 1}')
    put(s3, f"{prefix}large/added.txt", b"added")
    assert refresh_here() == directory
    assert sorted(served) == [f"{prefix}large/added.txt", f"{prefix}large/preprocessor_config.json"]
    assert contents(directory) == {
        **contents(tiny_model),
        "preprocessor_config.json": b'{"new": 1}',
        "added.txt": b"added",
    }
    ModelCache.at(Settings.load().cache_dirs).check(directory, thoroughly=True)


def test_refresh_drops_what_is_gone(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    put(s3, f"{prefix}large/old.txt", b"old")
    directory = fetch_here()
    s3.client(s3.admin).delete_object(Bucket=s3.bucket, Key=f"{prefix}large/old.txt")
    assert contents(refresh_here()) == contents(tiny_model)
    assert not (directory / "old.txt").exists()


def test_refresh_of_a_broken_upload_keeps_the_old_model(
    s3: LocalS3, prefix: str, tiny_model: Path, reader_environment: dict[str, str]
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    directory = fetch_here()
    put(s3, f"{prefix}large/model.safetensors", b"half")
    with pytest.raises(InvalidModelError):
        refresh_here()
    assert contents(directory) == contents(tiny_model)


def test_a_model_that_is_replaced_while_it_is_fetched_is_listed_again(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.upload(tiny_model, f"{prefix}large/")
    download = fetch.download
    times = 0

    def replaced_behind_our_back(*arguments: Any) -> Any:
        nonlocal times
        times += 1
        done = download(*arguments)
        if times == 1:
            put(s3, f"{prefix}large/preprocessor_config.json", b'{"new": 1}')
        return done

    monkeypatch.setattr(fetch, "download", replaced_behind_our_back)
    directory = fetch_here()
    assert times == 2
    assert (directory / "preprocessor_config.json").read_bytes() == b'{"new": 1}'


def test_a_published_model_is_checked_against_its_manifest(
    s3: LocalS3,
    prefix: str,
    tiny_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3.admin.environment().items():
        monkeypatch.setenv(name, value)
    publish_directory(tiny_model, s3.bucket, f"{prefix}large/", s3.client(s3.admin), SilentProgress())
    put(s3, f"{prefix}large/stranger.txt", b"not in the manifest")
    directory = fetch_here()
    assert contents(directory) == contents(tiny_model)
    receipt = ModelCache.at(Settings.load().cache_dirs).receipt_of(directory)
    assert receipt is not None
    assert {file.checksum.algorithm for file in receipt.files} == {"SHA256"}
    shutil.rmtree(directory)
    weights = bytearray((tiny_model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    put(s3, f"{prefix}large/model.safetensors", bytes(weights))  # the same size: only the manifest notices
    with pytest.raises(ObjectChangedError, match="is not the file that the model's manifest names"):
        fetch_here()
