"""Uploads to the real server: what is there at each moment, and what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    EndpointError,
    IntegrityError,
    InvalidModelError,
    ModelNotFoundError,
    ObjectChangedError,
    SettingsError,
    UsageError,
)
from kkg_area_detection.hub import publish
from kkg_area_detection.hub.manifest import MANIFEST_NAME, Manifest, ManifestFile, dump, parse
from kkg_area_detection.hub.publish import connect, location_to_publish, publish_directory
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.settings import Settings
from tests.conftest import safetensors_bytes


class Recorder:
    """A progress sink that counts, and calls back at the first byte."""

    def __init__(self, at_first_byte: Callable[[], object] = lambda: None) -> None:
        self.total = self.done = 0
        self._at_first_byte = at_first_byte

    def start(self, description: str, total_bytes: int) -> None:
        self.total = total_bytes

    def advance(self, n_bytes: int) -> None:
        if not self.done:
            self._at_first_byte()
        self.done += n_bytes


class Bucket:
    """The test's prefix, seen by an administrator."""

    def __init__(self, s3: LocalS3, prefix: str) -> None:
        self.name, self.prefix = s3.bucket, prefix
        self.client = s3.client(s3.admin)

    def publish(self, directory: Path, progress: Any = None, **options: Any) -> int:
        return publish_directory(
            directory, self.name, self.prefix, self.client, progress or SilentProgress(), **options
        )

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=self.prefix + name, Body=body)

    def get(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=self.prefix + name)["Body"].read()

    def names(self) -> list[str]:
        listing = self.client.list_objects_v2(Bucket=self.name, Prefix=self.prefix)
        return [item["Key"].removeprefix(self.prefix) for item in listing.get("Contents", [])]

    def manifest(self) -> Manifest:
        return parse(self.get(MANIFEST_NAME), "the manifest")


@pytest.fixture
def bucket(s3: LocalS3, prefix: str) -> Bucket:
    return Bucket(s3, prefix)


@pytest.fixture
def calls(bucket: Bucket) -> list[str]:
    """Every write as it is sent: operation and name."""
    seen: list[str] = []

    def note(params: dict[str, Any], model: Any, **_: object) -> None:
        seen.append(f"{model.name} {params['Key'].removeprefix(bucket.prefix)}")

    for operation in ("PutObject", "CreateMultipartUpload"):
        bucket.client.meta.events.register(f"provide-client-params.s3.{operation}", note)
    return seen


def test_order_contents_and_manifest(bucket: Bucket, calls: list[str], tiny_model: Path) -> None:
    (tiny_model / "sub").mkdir()
    (tiny_model / "sub" / "重み.txt").write_text("x")
    (tiny_model / "zzz.txt").touch()
    progress = Recorder()
    files = {
        path.relative_to(tiny_model).as_posix(): path.read_bytes()
        for path in tiny_model.rglob("*")
        if path.is_file()
    }
    total = bucket.publish(tiny_model, progress)
    assert total == progress.total == progress.done == sum(map(len, files.values()))
    assert calls == [
        f"PutObject {MANIFEST_NAME}",
        *(f"PutObject {name}" for name in sorted(files) if name != "config.json"),
        "PutObject config.json",
        f"PutObject {MANIFEST_NAME}",
    ]
    assert {name: bucket.get(name) for name in files} == files
    manifest = bucket.manifest()
    assert manifest.state == "complete"
    assert manifest.files == tuple(
        ManifestFile(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in sorted(files.items())
    )


@pytest.mark.parametrize(("crt", "algorithm"), [(True, "CRC64NVME"), (False, "CRC32")])
def test_large_files_go_in_parts_with_checksums(
    bucket: Bucket,
    calls: list[str],
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    crt: bool,
    algorithm: str,
) -> None:
    if crt:
        pytest.importorskip("awscrt")
    else:
        monkeypatch.setattr(publish, "find_spec", lambda _: None)
    monkeypatch.setattr(publish, "PART_BYTES", 5 << 20)  # the smallest that S3 takes
    content = safetensors_bytes(os.urandom(12_000_000))
    (tiny_model / "model.safetensors").write_bytes(content)
    bucket.publish(tiny_model)
    assert "CreateMultipartUpload model.safetensors" in calls
    assert bucket.get("model.safetensors") == content
    head = bucket.client.head_object(
        Bucket=bucket.name, Key=bucket.prefix + "model.safetensors", ChecksumMode="ENABLED"
    )
    assert head[f"Checksum{algorithm}"]


# --- what is there while an upload runs, and after it broke off ---------------------------------------------


@pytest.mark.parametrize("replacing", [False, True])
def test_readers_see_an_upload_in_progress(bucket: Bucket, tiny_model: Path, replacing: bool) -> None:
    if replacing:
        bucket.publish(tiny_model)
    states: list[str] = []
    bucket.publish(tiny_model, Recorder(lambda: states.append(bucket.manifest().state)), force=replacing)
    assert states == ["uploading"]
    assert bucket.manifest().state == "complete"


KILLED = """
import sys, time
from pathlib import Path
from kkg_area_detection.hub.publish import connect, publish_directory
from kkg_area_detection.settings import Settings

class Stalled:
    def start(self, description, total_bytes): pass
    def advance(self, n_bytes):
        print("moving", flush=True)
        time.sleep(60)

directory, bucket, prefix = sys.argv[1:]
publish_directory(Path(directory), bucket, prefix, connect(Settings.load()), Stalled(), force=True)
"""


@pytest.mark.parametrize("replacing", [False, True])
def test_a_killed_upload_is_never_a_model(
    s3: LocalS3,
    bucket: Bucket,
    reader_environment: dict[str, str],
    tiny_model: Path,
    replacing: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if replacing:
        bucket.publish(tiny_model)
    command = [sys.executable, "-c", KILLED, str(tiny_model), bucket.name, bucket.prefix]
    environment = {**os.environ, **s3.admin.environment()}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "moving\n"
        process.kill()
    assert bucket.manifest().state == "uploading"

    bucket.publish(tiny_model)  # pushing again heals it, without force
    assert bucket.manifest().state == "complete"
    assert "was not completed. Beginning anew" in caplog.text


def test_a_local_file_that_changes_under_us(bucket: Bucket, tiny_model: Path) -> None:
    weights = tiny_model / "model.safetensors"

    def train_on() -> None:
        with weights.open("ab") as file:
            file.write(b"more")

    with pytest.raises(IntegrityError, match="changed while it was uploaded"):
        bucket.publish(tiny_model, Recorder(train_on))
    assert bucket.manifest().state == "uploading"


def test_a_local_file_that_disappears(bucket: Bucket, tiny_model: Path) -> None:
    # Files go in the order of their names: this one comes after the first byte was sent.
    (tiny_model / "zzz.txt").write_text("x")
    with pytest.raises(IntegrityError, match=r"zzz\.txt changed"):
        bucket.publish(tiny_model, Recorder((tiny_model / "zzz.txt").unlink))
    assert bucket.manifest().state == "uploading"


# --- what is there already ----------------------------------------------------------------------------------


def test_a_model_is_replaced_by_force_only(bucket: Bucket, tiny_model: Path) -> None:
    bucket.publish(tiny_model)
    before = bucket.get(MANIFEST_NAME)
    (tiny_model / "new.txt").write_text("new")
    with pytest.raises(UsageError, match="already") as caught:
        bucket.publish(tiny_model)
    assert "--force" in caught.value.next_step
    assert bucket.get(MANIFEST_NAME) == before
    assert "new.txt" not in bucket.names()
    bucket.publish(tiny_model, force=True)
    assert bucket.get("new.txt") == b"new"


@pytest.mark.parametrize("name", ["config.json", MANIFEST_NAME])
def test_models_of_other_tools_are_not_overwritten(bucket: Bucket, tiny_model: Path, name: str) -> None:
    bucket.put(name, b"{}")
    with pytest.raises(UsageError, match=name):
        bucket.publish(tiny_model)
    assert bucket.names() == [name]
    bucket.publish(tiny_model, force=True)
    assert bucket.manifest().state == "complete"


def test_strangers_are_reported_and_left_alone(
    bucket: Bucket, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(7):
        bucket.put(f"old-{number}.safetensors", b"old")
    bucket.put("folder/", b"")
    bucket.publish(tiny_model)
    assert "old-0.safetensors, old-1.safetensors" in caplog.text
    assert "and 2 more" in caplog.text
    assert bucket.get("old-6.safetensors") == b"old"
    assert {file.path for file in bucket.manifest().files} == {path.name for path in tiny_model.iterdir()}


@pytest.mark.parametrize("meddle", ["manifest", "delete manifest", "delete file", "shorten file"])
def test_another_upload_to_the_same_place(bucket: Bucket, tiny_model: Path, meddle: str) -> None:
    (tiny_model / "a.txt").write_text("long")

    def interfere() -> None:
        match meddle.split():
            case ["manifest"]:
                bucket.put(MANIFEST_NAME, dump(Manifest((), "uploading", "2026-01-31T09:00:00+00:00")))
            case ["delete", "manifest"]:
                bucket.client.delete_object(Bucket=bucket.name, Key=bucket.prefix + MANIFEST_NAME)
            case ["delete", "file"]:
                bucket.client.delete_object(Bucket=bucket.name, Key=bucket.prefix + "a.txt")
            case ["shorten", "file"]:
                bucket.put("a.txt", b"s")

    class AtTheEnd(Recorder):
        def advance(self, n_bytes: int) -> None:
            super().advance(n_bytes)
            if self.done == self.total:
                interfere()

    with pytest.raises(ObjectChangedError, match="not completed") as caught:
        bucket.publish(tiny_model, AtTheEnd())
    assert "somebody else writes" in caught.value.cause


def test_a_lost_reply_is_not_another_upload(
    bucket: Bucket, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write took effect, botocore repeats it, and the server refuses the repetition."""
    put = bucket.client.put_object

    def put_twice(**arguments: Any) -> Any:
        if isinstance(arguments["Body"], bytes):  # the manifest
            put(**arguments)
        return put(**arguments)

    monkeypatch.setattr(bucket.client, "put_object", put_twice)
    bucket.publish(tiny_model)
    assert bucket.manifest().state == "complete"


# --- who may, and where --------------------------------------------------------------------------------------


def test_a_reader_may_not_publish(s3: LocalS3, bucket: Bucket, tiny_model: Path) -> None:
    client = s3.client(s3.reader)
    with pytest.raises(AccessDeniedError) as caught:
        publish_directory(tiny_model, bucket.name, bucket.prefix, client, SilentProgress())
    assert "ask for s3:PutObject" in caught.value.next_step
    assert "lacks s3:PutObject" in caught.value.cause
    assert s3.reader.secret_key not in str(caught.value)
    assert bucket.names() == []


@pytest.mark.parametrize("size", [10, 6 << 20])
def test_a_right_that_is_lost_on_the_way(
    s3: LocalS3, bucket: Bucket, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """boto3 wraps the answer to an upload; the error must be the same, in one part and in several."""
    monkeypatch.setattr(publish, "PART_BYTES", 5 << 20)
    (tiny_model / "model.safetensors").write_bytes(safetensors_bytes(bytes(size)))
    reader = s3.client(s3.reader)
    monkeypatch.setattr(bucket.client, "upload_file", reader.upload_file)
    with pytest.raises(AccessDeniedError, match=r"model\.safetensors") as caught:
        bucket.publish(tiny_model)
    assert "s3:PutObject" in caught.value.next_step
    assert bucket.manifest().state == "uploading"


def test_no_bucket_and_no_server(s3: LocalS3, tiny_model: Path) -> None:
    client = s3.client(s3.admin)
    with pytest.raises(BucketNotFoundError):
        publish_directory(tiny_model, "no-such-bucket", "x/", client, SilentProgress())


def test_an_unreachable_server(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EndpointError, match="refuses the connection"):
        publish_directory(tiny_model, "bucket", "x/", connect(Settings.load()), SilentProgress())


@pytest.mark.parametrize(
    ("remove", "error"),
    [("model.safetensors", InvalidModelError), ("config.json", InvalidModelError), ("", ModelNotFoundError)],
)
def test_the_load_gate_comes_first(
    bucket: Bucket, calls: list[str], tiny_model: Path, remove: str, error: type[Exception]
) -> None:
    if remove:
        (tiny_model / remove).unlink()
    with pytest.raises(error):
        bucket.publish(tiny_model if remove else tiny_model / "nowhere")
    assert calls == []


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("models/{model_name}/", "models/large/"),
        ("{model_name}/", "large/"),
        ("a/{model_name}/b/", "a/large/b/"),
        ("models/{model_name}", "S3_MODEL_KEY"),
        ("models/{model_name}.zip", "S3_MODEL_KEY"),
        ("models/large/", "S3_MODEL_KEY"),
        (None, "S3_MODEL_KEY"),
    ],
)
def test_location(key: str | None, expected: str) -> None:
    settings = Settings(bucket="bucket", model_key=key)
    if expected == "S3_MODEL_KEY":
        with pytest.raises(SettingsError, match=expected):
            location_to_publish("large", settings)
    else:
        assert location_to_publish("large", settings) == ("bucket", expected)


def test_offline() -> None:
    settings = Settings(bucket="bucket", model_key="models/{model_name}/", offline=True)
    with pytest.raises(SettingsError, match="KKG_OFFLINE"):
        location_to_publish("large", settings)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "nul", ".hidden"])
def test_names_that_cannot_be_folders(name: str) -> None:
    with pytest.raises(UsageError):
        location_to_publish(name, Settings(bucket="bucket", model_key="models/{model_name}/"))
