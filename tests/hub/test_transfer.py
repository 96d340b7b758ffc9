import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from kkg_area_detection.errors import (
    AccessDeniedError,
    DiskFullError,
    EndpointError,
    IntegrityError,
    KkgAreaDetectionError,
    ObjectChangedError,
    TransferError,
)
from kkg_area_detection.hub import transfer
from kkg_area_detection.hub.plan import DownloadPlan, PlannedFile, RemoteObject
from kkg_area_detection.hub.transfer import download


class FakeReader:
    """Objects in memory; `faults` are raised, one a call, before an object is given out whole."""

    def __init__(self, objects: dict[str, bytes], faults: list[BaseException] | None = None) -> None:
        self.objects = objects
        self.faults = faults or []
        self.calls = 0

    @contextmanager
    def open(self, bucket: str, item: RemoteObject) -> Iterator["FakeBody"]:
        self.calls += 1
        yield FakeBody(self.objects[item.key], self.faults.pop(0) if self.faults else None)


class FakeBody:
    def __init__(self, data: bytes, fault: BaseException | None) -> None:
        self.data, self.fault = data, fault

    def read(self, amount: int) -> bytes:
        if self.fault and len(self.data) <= 3:
            raise self.fault
        size = min(amount, 3 if self.fault else amount)
        chunk, self.data = self.data[:size], self.data[size:]
        return chunk


class CountingProgress:
    def __init__(self) -> None:
        self.done = 0
        self._lock = threading.Lock()

    def start(self, description: str, total_bytes: int) -> None: ...

    def advance(self, n_bytes: int) -> None:
        with self._lock:
            self.done += n_bytes


def plan_for(objects: dict[str, bytes], **sizes: int) -> DownloadPlan:
    files = (
        PlannedFile(RemoteObject(key, sizes.get(key, len(data)), '"e"'), PurePosixPath(key))
        for key, data in objects.items()
    )
    return DownloadPlan("bucket", "m/", tuple(files))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.random, "uniform", lambda low, high: 0.0)


OBJECTS = {"config.json": b"{}", "sub/deep/weights": os.urandom(3_000_000), "empty": b""}


def test_every_byte_arrives(tmp_path: Path) -> None:
    progress = CountingProgress()
    download(FakeReader(OBJECTS), plan_for(OBJECTS), tmp_path, progress)
    assert {key: (tmp_path / key).read_bytes() for key in OBJECTS} == OBJECTS
    assert progress.done == 3_000_002


def test_many_files(tmp_path: Path) -> None:
    objects = {f"{number:03}": bytes([number % 251]) * number for number in range(200)}
    download(FakeReader(objects), plan_for(objects), tmp_path / "out", CountingProgress())
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == objects


@pytest.mark.parametrize("fault", [EndpointError("reset"), TransferError("503"), IntegrityError("flipped")])
def test_passing_faults_are_tried_again(
    tmp_path: Path, fault: KkgAreaDetectionError, caplog: pytest.LogCaptureFixture
) -> None:
    objects = {"weights": b"0123456789"}
    progress = CountingProgress()
    reader = FakeReader(objects, [fault] * 4)
    with caplog.at_level(logging.WARNING):
        download(reader, plan_for(objects), tmp_path, progress)
    assert (tmp_path / "weights").read_bytes() == b"0123456789"
    assert progress.done == 10  # what broken attempts had counted is taken back
    assert reader.calls == 5
    assert "Attempt 5 of 5 follows" in caplog.text


@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (EndpointError("reset"), 5),
        (ObjectChangedError("replaced"), 1),
        (AccessDeniedError("denied"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_lasting_faults_end_it(tmp_path: Path, fault: BaseException, calls: int) -> None:
    reader = FakeReader({"weights": b"0123456789"}, [fault] * 9)
    with pytest.raises(type(fault)):
        download(reader, plan_for({"weights": b"0123456789"}), tmp_path, CountingProgress())
    assert reader.calls == calls


@pytest.mark.parametrize("listed", [9, 11])
def test_another_size_than_listed(tmp_path: Path, listed: int) -> None:
    objects = {"weights": b"0123456789"}
    with pytest.raises(IntegrityError, match=f"10 of {listed} bytes"):
        download(FakeReader(objects), plan_for(objects, weights=listed), tmp_path, CountingProgress())


def test_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "weights").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="free some space") as caught:
        download(FakeReader({"weights": b"x"}), plan_for({"weights": b"x"}), tmp_path, CountingProgress())
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.errno == errno.ENOSPC  # type: ignore[attr-defined]


def test_one_failure_ends_the_call_while_others_stall(tmp_path: Path) -> None:
    release = threading.Event()

    class Stalling(FakeReader):
        @contextmanager
        def open(self, bucket: str, item: RemoteObject) -> Iterator[FakeBody]:
            if item.key == "bad":
                raise AccessDeniedError("denied")
            release.wait(30)
            with super().open(bucket, item) as body:
                yield body

    objects = {"bad": b"x", **{f"slow-{number}": b"x" for number in range(4)}}
    began = time.monotonic()
    with pytest.raises(AccessDeniedError):
        download(Stalling(objects), plan_for(objects), tmp_path, CountingProgress())
    assert time.monotonic() - began < 5
    release.set()
