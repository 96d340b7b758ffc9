import errno
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kkg_area_detection.errors import (
    AccessDeniedError,
    DiskFullError,
    EndpointError,
    ExpiredCredentialsError,
    IntegrityError,
    ObjectChangedError,
    TransferError,
)
from kkg_area_detection.hub import retry, tuning
from kkg_area_detection.hub.integrity import digest_of
from kkg_area_detection.hub.plan import RemoteObject
from kkg_area_detection.hub.ranges import ranges_of
from kkg_area_detection.hub.staging import open_staging
from kkg_area_detection.hub.transfer import download
from kkg_area_detection.hub.workers import FetchedFile
from tests.hub.fake_store import (
    FakeBody,
    FakeObject,
    FakeStore,
    Fault,
    break_off,
    composite_crc32,
    crc64,
    cut,
    flip,
    multipart_etag,
)

RANGE = 1000


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "RANGE_BYTES", RANGE)
    monkeypatch.setattr(tuning, "CHUNK_BYTES", 100)
    monkeypatch.setattr(retry, "FIRST_PAUSE_S", 0.0)


class CountingProgress:
    def __init__(self) -> None:
        self.done = 0
        self._lock = threading.Lock()

    def start(self, description: str, total_bytes: int) -> None: ...

    def advance(self, n_bytes: int) -> None:
        with self._lock:
            self.done += n_bytes


def fetch(store: FakeStore, tmp_path: Path) -> tuple[dict[str, bytes], list[FetchedFile], int]:
    """Download everything; returns the bytes by path, the files, and what the progress counted."""
    progress = CountingProgress()
    with open_staging(tmp_path / "staging", "m") as staging:
        files = download(store, store.plan(), staging, progress)
        got = {str(one.file.path): (staging.files / one.file.path).read_bytes() for one in files}
    return got, files, progress.done


def make(size: int, kind: str = "CRC64NVME") -> FakeObject:
    """An object with a checksum of a certain kind."""
    data, part = os.urandom(size), 300
    match kind:
        case "CRC64NVME":
            return FakeObject(data, {"ChecksumCRC64NVME": crc64(data), "ChecksumType": "FULL_OBJECT"})
        case "composite":
            etag = multipart_etag(data, part)
            return FakeObject(data, {"ChecksumCRC32": composite_crc32(data, part)}, etag, part)
        case "MD5":
            return FakeObject(data)
        case "multipart MD5":
            return FakeObject(data, {}, multipart_etag(data, part), part)
        case "none":
            return FakeObject(data, {"ServerSideEncryption": "aws:kms"})
    raise AssertionError(kind)


KINDS = ["CRC64NVME", "composite", "MD5", "multipart MD5", "none"]
SIZES = [0, 1, 299, 300, 999, RANGE, RANGE + 1, 5 * RANGE, 7321]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
def test_every_byte_arrives(tmp_path: Path, kind: str, size: int) -> None:
    if (not size and "multipart" in kind) or (not size and kind == "composite"):
        kind = "MD5"  # an upload in parts has at least one
    stored = make(size, kind)
    got, (file,), counted = fetch(FakeStore({"sub/weights": stored}), tmp_path)
    assert got == {"sub/weights": stored.data}
    assert file.verified is (kind != "none")
    assert counted == size


def test_many_files(tmp_path: Path) -> None:
    objects = {f"{number:03}": make(number * 7) for number in range(200)}
    got, files, _ = fetch(FakeStore(objects), tmp_path)
    assert got == {key: stored.data for key, stored in objects.items()}
    assert [str(one.file.path) for one in files] == list(objects)


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("size", [700, 3500])
def test_a_flipped_bit_is_noticed_and_fetched_again(
    tmp_path: Path, kind: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    stored = make(size, kind)
    got, _, counted = fetch(FakeStore({"weights": stored}, [flip(123)]), tmp_path)
    assert got == {"weights": stored.data}
    assert counted == size
    assert "do not match their checksum; fetching it again" in caplog.text


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("size", [700, 3500])
def test_an_object_that_is_damaged_itself(tmp_path: Path, kind: str, size: int) -> None:
    stored = make(size, kind)
    stored.data = stored.data[:-1] + bytes([stored.data[-1] ^ 1])
    store = FakeStore({"weights": stored})
    with pytest.raises(IntegrityError, match="upload the object again"):
        fetch(store, tmp_path)
    assert not list((tmp_path / "staging").iterdir())  # nothing of it is worth keeping


def test_an_object_without_a_checksum_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, (file,), _ = fetch(FakeStore({"weights": make(700, "none")}), tmp_path)
    assert "S3 offers no checksum for s3://bucket/weights; its bytes are unverified" in caplog.text
    assert not file.verified
    assert file.checksum.algorithm == "CRC64NVME"


@pytest.mark.parametrize("size", [700, 3500])
@pytest.mark.parametrize(
    "fault",
    [
        cut(0),
        cut(50),
        break_off(0, EndpointError("reset")),
        break_off(300, EndpointError("reset")),
        break_off(300, TransferError("503")),
        break_off(300, IntegrityError("flipped")),
        break_off(0, ExpiredCredentialsError("expired")),
        break_off(300, ExpiredCredentialsError("expired")),
    ],
)
def test_a_broken_connection_goes_on_in_the_middle(tmp_path: Path, size: int, fault: Fault) -> None:
    stored = make(size)
    store = FakeStore({"weights": stored}, [fault])
    got, _, counted = fetch(store, tmp_path)
    assert got == {"weights": stored.data}
    assert counted == size
    begun = sum(start % RANGE == 0 for _, start, _ in store.reads)
    assert begun <= len(ranges_of(size, 0)) + 1


def test_progress_forgives_earlier_failures(tmp_path: Path) -> None:
    stored = make(900)
    faults: list[Fault | None] = [break_off(20, EndpointError("reset")) for _ in range(40)]
    got, _, _ = fetch(FakeStore({"weights": stored}, faults), tmp_path)
    assert got == {"weights": stored.data}


def test_credentials_are_read_anew_once(tmp_path: Path) -> None:
    expired: list[Fault | None] = [break_off(0, ExpiredCredentialsError("expired")) for _ in range(9)]
    store = FakeStore({"weights": make(900)}, expired)
    with pytest.raises(ExpiredCredentialsError):
        fetch(store, tmp_path)
    assert store.generation == 1


@pytest.mark.parametrize(
    ("error", "reads"),
    [
        (EndpointError("reset"), retry.ATTEMPTS),
        (ObjectChangedError("replaced"), 1),
        (AccessDeniedError("denied"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_lasting_faults_end_it(tmp_path: Path, error: BaseException, reads: int) -> None:
    store = FakeStore({"weights": make(700)}, [break_off(0, error) for _ in range(99)])
    with pytest.raises(type(error)):
        fetch(store, tmp_path)
    assert len(store.reads) == reads


def test_a_trickle_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SLOW_WINDOW_S", 0.01)
    monkeypatch.setattr(tuning, "SLOW_BYTES_PER_S", 1_000_000)
    trickles: list[Fault | None] = [lambda _: time.sleep(0.02) for _ in range(3)]
    stored = make(900)
    store = FakeStore({"weights": stored}, trickles)
    got, _, _ = fetch(store, tmp_path)
    assert got == {"weights": stored.data}
    assert len(store.reads) == 4


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a disk that fills up on the way."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="free some space") as caught:
            fetch(FakeStore({"weights": make(3500)}), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG


def test_one_failure_ends_the_call_while_others_stall(tmp_path: Path) -> None:
    release = threading.Event()

    class Stalling(FakeStore):
        @contextmanager
        def read(
            self, bucket: str, item: RemoteObject, start: int = 0, end: int | None = None
        ) -> Iterator[FakeBody]:
            if item.key == "bad":
                raise AccessDeniedError("denied")
            release.wait(30)
            with super().read(bucket, item, start, end) as body:
                yield body

    store = Stalling({"bad": make(9), **{f"slow-{number}": make(9) for number in range(4)}})
    began = time.monotonic()
    with pytest.raises(AccessDeniedError):
        fetch(store, tmp_path)
    assert time.monotonic() - began < 5
    release.set()


# --- going on where another attempt stopped ----------------------------------------------------------------


def interrupt(store: FakeStore, tmp_path: Path, after: int) -> None:
    """Fetch until so many reads were made, then fail for good."""
    store.faults = [None] * after + [break_off(0, AccessDeniedError("stop"))] * 99
    with pytest.raises(AccessDeniedError):
        fetch(store, tmp_path)
    store.faults = []
    store.reads.clear()


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "WORKERS", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_finished_ranges_are_taken_over(tmp_path: Path, kind: str, one_worker: None) -> None:
    stored = make(10 * RANGE, kind)
    store = FakeStore({"weights": stored})
    interrupt(store, tmp_path, after=6)
    got, (file,), counted = fetch(store, tmp_path)
    assert got == {"weights": stored.data}
    assert counted == 10 * RANGE
    all_ranges = len(ranges_of(10 * RANGE, stored.part_size))
    assert len(store.reads) == all_ranges - 6
    assert file.verified is (kind != "none")


def test_finished_files_are_taken_over(tmp_path: Path, one_worker: None) -> None:
    objects = {f"{number}": make(500) for number in range(10)}
    store = FakeStore(objects)
    interrupt(store, tmp_path, after=7)
    got, _, _ = fetch(store, tmp_path)
    assert got == {key: stored.data for key, stored in objects.items()}
    assert len(store.reads) == 3


def test_what_is_taken_over_is_hashed_again(tmp_path: Path, one_worker: None) -> None:
    stored = make(10 * RANGE)
    store = FakeStore({"weights": stored})
    interrupt(store, tmp_path, after=6)
    (left,) = (tmp_path / "staging").glob("*/files/weights")
    damaged = bytearray(left.read_bytes())
    damaged[2500] ^= 1
    left.write_bytes(damaged)
    got, _, _ = fetch(store, tmp_path)
    assert got == {"weights": stored.data}
    assert len(store.reads) == 5  # the four that were missing, and the damaged one


@pytest.mark.parametrize("journal", [b"", b"rubbish\n", b"00000000 {}\n", b"\xff\xfe"])
def test_a_damaged_journal_only_costs_bytes(tmp_path: Path, journal: bytes, one_worker: None) -> None:
    stored = make(10 * RANGE)
    store = FakeStore({"weights": stored})
    interrupt(store, tmp_path, after=6)
    (left,) = (tmp_path / "staging").glob("*/journal")
    left.write_bytes(journal)
    got, _, _ = fetch(store, tmp_path)
    assert got == {"weights": stored.data}


def test_another_version_is_not_mixed_in(tmp_path: Path, one_worker: None) -> None:
    store = FakeStore({"weights": make(10 * RANGE)})
    interrupt(store, tmp_path, after=6)
    newer = make(10 * RANGE)
    got, _, _ = fetch(FakeStore({"weights": newer}), tmp_path)
    assert got == {"weights": newer.data}


def test_a_file_shared_with_a_published_model_is_not_written_to(tmp_path: Path) -> None:
    published = tmp_path / "published"
    published.write_bytes(b"old")
    store = FakeStore({"weights": make(900)})
    with open_staging(tmp_path / "staging", "m") as staging:
        (staging.files / "weights").hardlink_to(published)
        download(store, store.plan(), staging, CountingProgress())
        assert (staging.files / "weights").stat().st_size == 900
    assert published.read_bytes() == b"old"


def test_the_digest_in_the_result_is_that_of_the_file(tmp_path: Path) -> None:
    stored = make(3500)
    store = FakeStore({"weights": stored})
    with open_staging(tmp_path / "staging", "m") as staging:
        (file,) = download(store, store.plan(), staging, CountingProgress())
        assert digest_of(staging.files / "weights", "CRC64NVME") == file.checksum.value
    assert hashlib.md5(stored.data).hexdigest() in stored.etag


@pytest.mark.parametrize(
    ("size", "part_size", "ranges"),
    [
        (0, 0, []),
        (999, 0, [(0, 999)]),
        (2001, 0, [(0, 1000), (1000, 2000), (2000, 2001)]),
        (2001, 300, [(0, 900), (900, 1800), (1800, 2001)]),
        (2001, 1500, [(0, 1500), (1500, 2001)]),
    ],
)
def test_ranges(size: int, part_size: int, ranges: list[tuple[int, int]]) -> None:
    assert ranges_of(size, part_size) == ranges
