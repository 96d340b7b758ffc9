"""A state machine that does to the model cache what people, networks, disks and kill -9 do to it.

Everything runs in one process: the store is in memory, and the calls that change the file system pass through
``FaultyDisk``, which refuses them as Windows does or ends the "process" at a chosen one. Names and order are the
same in every run, so that Hypothesis can shrink what it finds.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kkg_area_detection.errors import (
    AccessDeniedError,
    CacheNotWritableError,
    EndpointError,
    InvalidModelError,
    KkgAreaDetectionError,
    ModelNotFoundError,
    ObjectChangedError,
    ObjectNotFoundError,
    UsageError,
)
from kkg_area_detection.hub import fetch, inventory, retry, staging, tuning
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.manifest import MANIFEST_NAME, Manifest, ManifestFile, dump
from kkg_area_detection.hub.plan import RemoteObject
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
from tests.conftest import safetensors_bytes
from tests.hub.fake_store import (
    FakeBody,
    FakeObject,
    FakeStore,
    Fault,
    break_off,
    composite_crc32,
    crc64,
    multipart_etag,
)

NAME = "large"
PREFIX = f"models/{NAME}/"
RANGE = 1000
PART = 300
KINDS = ("CRC64NVME", "composite", "MD5", "multipart MD5", "none")

# The bytes of a model, or of anything else, by relative path.
Snapshot = tuple[tuple[str, bytes], ...]


def snapshot(path: Path) -> Snapshot:
    """What lies at a path; a file has the one relative path "."."""
    if path.is_file():
        return ((".", path.read_bytes()),)
    files = (one for one in path.rglob("*") if one.is_file())
    return tuple(sorted((one.relative_to(path).as_posix(), one.read_bytes()) for one in files))


def write(directory: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


# --- what lies in S3 ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Upload:
    """A generation of the model; equal numbers give equal files, so generations have files in common."""

    weights: int
    config: int
    extras: tuple[str, ...]
    kind: str
    manifest: bool

    def files(self) -> dict[str, bytes]:
        data = random.Random(self.weights).randbytes((200, 200, 2300, 2300)[self.weights])
        config = json.dumps({"model_type": "mask2former", "variant": self.config}).encode()
        extras = {name: f"{name} of {self.config}".encode() for name in self.extras}
        return {"config.json": config, "model.safetensors": safetensors_bytes(data), **extras}

    def objects(self) -> dict[str, FakeObject]:
        return {PREFIX + name: stored(content, self.kind) for name, content in self.files().items()}

    def manifest_object(self, state: Any) -> FakeObject:
        entries = tuple(ManifestFile(name, len(data), sha256(data)) for name, data in self.files().items())
        return stored(dump(Manifest(entries, state, "2026-01-31T09:00:00+00:00")), "MD5")


UPLOADS = st.builds(
    Upload,
    weights=st.integers(0, 3),
    config=st.integers(0, 2),
    extras=st.sampled_from([(), ("notes.txt",), ("sub/words.txt",), ("notes.txt", "sub/words.txt")]),
    kind=st.sampled_from(KINDS),
    manifest=st.booleans(),
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored(data: bytes, kind: str) -> FakeObject:
    """An object with a checksum of a certain kind."""
    match kind:
        case "CRC64NVME":
            return FakeObject(data, {"ChecksumCRC64NVME": crc64(data), "ChecksumType": "FULL_OBJECT"})
        case "composite":
            headers = {"ChecksumCRC32": composite_crc32(data, PART)}
            return FakeObject(data, headers, multipart_etag(data, PART), PART)
        case "MD5":
            return FakeObject(data)
        case "multipart MD5":
            return FakeObject(data, {}, multipart_etag(data, PART), PART)
        case "none":
            return FakeObject(data, {"ServerSideEncryption": "aws:kms"})
    raise AssertionError(kind)


class Bucket(FakeStore):
    """A fake store that lists, and that serves the version of an object that was listed, or none."""

    def __init__(self) -> None:
        super().__init__({})
        self.current: Snapshot | None = None
        self.unfinished = False
        self.calls = 0

    def put(self, upload: Upload, *, tidy: bool) -> Snapshot:
        """Replace the generation; files of older ones stay beside a manifest where nobody tidies up."""
        self.current, self.unfinished = tuple(sorted(upload.files().items())), False
        left = {} if tidy or not upload.manifest else dict(self.objects)
        self.objects = left | upload.objects()
        if upload.manifest:
            self.objects[PREFIX + MANIFEST_NAME] = upload.manifest_object("complete")
        return self.current

    def begin(self, upload: Upload) -> None:
        """Begin an upload that does not end: the manifest says so."""
        self.unfinished = True
        some = dict(itertools.islice(upload.objects().items(), 1))
        self.objects = dict(self.objects) | some
        self.objects[PREFIX + MANIFEST_NAME] = upload.manifest_object("uploading")

    def list_objects(self, bucket: str, prefix: str, *, recursive: bool = True) -> list[RemoteObject]:
        self.calls += 1
        return [
            RemoteObject(key, len(one.data), one.etag)
            for key, one in sorted(self.objects.items())
            if key.startswith(prefix)
        ]

    @contextmanager
    def read(
        self, bucket: str, item: RemoteObject, start: int = 0, end: int | None = None
    ) -> Iterator[FakeBody]:
        self.calls += 1
        there = self.objects.get(item.key)
        if there is None or there.etag != item.etag:
            raise ObjectChangedError(f"{item.key} was replaced.", next_step="try again.")
        with super().read(bucket, item, start, end) as body:
            yield body


# --- the disk ----------------------------------------------------------------------------------------------


class KilledError(BaseException):
    """The process ends here; nothing that comes after it may change the disk."""


class FaultyDisk:
    """Counts the calls that change the file system, and lets one of them be the last.

    Args:
        patch: Undone by whoever made it.
        place: The model's directory, whose renames can be refused.
        grave: Where removed directories go, so that no inode is used twice by chance.
    """

    def __init__(self, patch: pytest.MonkeyPatch, place: Path, grave: Path) -> None:
        self.place, self.grave = place, grave
        self.steps_left: int | None = None
        self.refusals, self.refused = 0, ""
        for name in ("mkdir", "unlink", "touch", "write_text", "hardlink_to"):
            patch.setattr(Path, name, self._counted(getattr(Path, name)))
        patch.setattr(os, "replace", self._counted(os.replace))
        patch.setattr(shutil, "copy2", self._counted(shutil.copy2))
        patch.setattr(Path, "rename", self._counted(self._refusing(Path.rename)))
        patch.setattr(shutil, "rmtree", self._counted(self.bury))
        self._numbers = itertools.count()

    @contextmanager
    def killed_at(self, step: int) -> Iterator[None]:
        """End the process at a step; where it has fewer, it ends well."""
        self.steps_left = step
        try:
            yield
        finally:
            self.steps_left = None

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            if self.steps_left is not None:
                self.steps_left -= 1
                if self.steps_left < 0:  # what a dead process would clean up stays as well
                    raise KilledError
            return call(*args, **options)

        return counting

    def _refusing(self, rename: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def refusing(path: Path, target: Path) -> Path:
            new = Path(target) == self.place and path.name in ("files", self.place.name)
            if self.refusals and {"old": path == self.place, "new": new}[self.refused]:
                self.refusals -= 1
                raise PermissionError(13, "in use")
            return rename(path, target)

        return refusing

    def bury(self, path: Path, ignore_errors: bool = False) -> None:
        """Remove a directory."""
        if path.is_dir() and not path.is_symlink():
            os.rename(path, self.grave / str(next(self._numbers)))  # noqa: PTH104 - the other one is ours
        elif not ignore_errors:
            raise NotADirectoryError(path)


@functools.cache
def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as done:
        done.wait()
    return done.pid


# --- the machine -------------------------------------------------------------------------------------------


class CacheMachine(RuleBasedStateMachine):
    """The cache of one machine, one model in it, and all that happens to them.

    Three facts are kept beside what lies on the disk:

    * ``known``: every snapshot that ``find`` may return: what was uploaded, and what people copied in;
    * ``treasures``: what people own and the library must keep, in its place or below ``.kkg/replaced``;
    * ``promised``: what was found or pulled, and must be found until somebody changes it.
    """

    def __init__(self, scratch: Path) -> None:
        super().__init__()
        self.top = scratch / uuid.uuid4().hex
        self.root, self.outside = self.top / "cache", self.top / "outside"
        self.place, self.bookkeeping = self.root / NAME, self.root / ".kkg"
        self.pending = self.bookkeeping / "pending" / NAME
        for directory in (self.root, self.outside, self.top / "grave"):
            directory.mkdir(parents=True)
        self.known: set[Snapshot] = set()
        self.treasures: set[Snapshot] = set()
        self.promised: Snapshot | None = None
        self.bucket = Bucket()
        self._numbers = itertools.count(1)
        self._patch = pytest.MonkeyPatch()
        self._set_up()
        logging.disable(logging.ERROR)  # thousands of warnings that are right
        self.disk = FaultyDisk(self._patch, self.place, self.top / "grave")
        write(self.outside, {"thesis.docx": b"not ours"})
        write(self.root, {"diary.txt": b"not ours", "small/config.json": b"{}", "photos/1.jpg": b"1"})
        self.neighbours = self._neighbours()

    def _set_up(self) -> None:
        for name, value in {
            "S3_BUCKET_NAME": "bucket",
            "S3_MODEL_KEY": "models/{model_name}/",
            "MODEL_CACHE_DIR": str(self.root),
        }.items():
            self._patch.setenv(name, value)
        self._patch.setattr(fetch, "S3Store", lambda region: self.bucket)
        self._patch.setattr(tuning, "WORKERS", 1)  # the n-th read is the same in every run
        self._patch.setattr(tuning, "RANGE_BYTES", RANGE)
        self._patch.setattr(tuning, "CHUNK_BYTES", 100)
        self._patch.setattr(tuning, "POLL_S", 0.02)
        self._patch.setattr(retry, "FIRST_PAUSE_S", 0.0)
        numbers = itertools.count(1)
        self._patch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=next(numbers) << 112))

    # --- S3 ---

    @rule(upload=UPLOADS, tidy=st.booleans())
    def upload(self, upload: Upload, tidy: bool) -> None:
        self.known.add(self.bucket.put(upload, tidy=tidy))

    @rule(upload=UPLOADS)
    def begin_an_upload(self, upload: Upload) -> None:
        self.bucket.begin(upload)

    # --- the library, undisturbed ---

    @rule(refresh=st.booleans())
    def pull(self, refresh: bool) -> None:
        before, refusals = self._found(), self.disk.refusals
        try:
            directory = self._resolve(refresh)
        except KkgAreaDetectionError as error:
            assert refresh or before is None, "a sound model was there"
            self._check_excuse(error, refusals)
        else:
            self.promised = snapshot(directory)
            assert self.promised == (self.bucket.current if refresh or before is None else before)

    @rule()
    def offline(self) -> None:
        calls, before = self.bucket.calls, self._found()
        self._patch.setenv("KKG_OFFLINE", "1")
        try:
            assert snapshot(self._resolve(refresh=False)) == before
        except KkgAreaDetectionError as error:
            assert before is None
            check_advice(error)
        finally:
            self._patch.delenv("KKG_OFFLINE")
        assert self.bucket.calls == calls

    @rule()
    def prune(self) -> None:
        inventory.prune(self._cache())

    @rule()
    def remove(self) -> None:
        mine = self._own_model()
        with self._asked_by_the_user():
            inventory.remove(self._cache(), NAME)
            self.treasures -= {mine}
            assert self._cache().find(NAME) is None, "a removed model is back"

    # --- the library, disturbed ---

    @rule(
        refresh=st.booleans(),
        read=st.integers(0, 9),
        at=st.integers(0, 400),
        error=st.sampled_from([AccessDeniedError("denied"), EndpointError("reset"), KeyboardInterrupt()]),
    )
    def pull_with_a_broken_read(self, refresh: bool, read: int, at: int, error: BaseException) -> None:
        self.bucket.faults = [*[None] * read, break_off(at, error)]
        with suppress(KkgAreaDetectionError, KeyboardInterrupt):
            self._pulled(self._resolve(refresh))
        self.bucket.faults = []

    @rule(
        refresh=st.booleans(),
        read=st.integers(0, 6),
        act=st.sampled_from(["upload", "delete", "edit", "copy in", "foreign"]),
        upload=UPLOADS,
        which=st.integers(0, 3),
    )
    def pull_while_something_happens(
        self, refresh: bool, read: int, act: str, upload: Upload, which: int
    ) -> None:
        acts: dict[str, Callable[[], None]] = {
            "upload": lambda: self.upload(upload, tidy=True),
            "delete": self.delete,
            "edit": lambda: self.edit(which, "flip"),
            "copy in": lambda: self.copy_in("fresh", complete=True),
            "foreign": lambda: self.put_something_foreign("directory"),
        }
        self.bucket.faults = [*[None] * read, meanwhile(acts[act])]
        with suppress(KkgAreaDetectionError):
            self._resolve(refresh)  # what it returns may have been edited since; ``find`` must notice that
        self.promised, self.bucket.faults = None, []

    @rule(
        act=st.sampled_from(["pull", "refresh", "find", "prune", "remove"]),
        step=st.integers(0, 45),
        fate=st.sampled_from(["dead", "elsewhere", "stale"]),
    )
    def kill(self, act: str, step: int, fate: str) -> None:
        """``kill -9`` at the n-th change of the file system."""
        acts: dict[str, Callable[[], object]] = {
            "pull": lambda: self._resolve(refresh=False),
            "refresh": lambda: self._resolve(refresh=True),
            "find": lambda: self._cache().find(NAME),
            "prune": self.prune,
            "remove": lambda: inventory.remove(self._cache(), NAME),
        }
        mine = self._own_model()
        with suppress(KkgAreaDetectionError, KilledError), self.disk.killed_at(step):
            acts[act]()
        if act == "remove" and snapshot(self.place) != mine:
            self.treasures -= {mine}
        self.promised = None  # between two renames, the place is empty
        self._disown(fate)

    @rule(read=st.integers(0, 9), refresh=st.booleans(), fate=st.sampled_from(["dead", "elsewhere", "stale"]))
    def kill_while_reading(self, read: int, refresh: bool, fate: str) -> None:
        """``kill -9`` before anything is published: what was there stays."""

        def die(body: FakeBody) -> None:
            self.disk.steps_left = 0
            raise KilledError

        self.bucket.faults = [*[None] * read, die]
        with suppress(KkgAreaDetectionError, KilledError):
            self._pulled(self._resolve(refresh))
        self.bucket.faults, self.disk.steps_left = [], None
        self._disown(fate)

    @rule(what=st.sampled_from(["old", "new"]), times=st.integers(1, 6))
    def refuse_renames(self, what: str, times: int) -> None:
        """As Windows does while a program has a file open: of the model that is there, or of the new one."""
        self.disk.refused, self.disk.refusals = what, times

    @rule()
    def allow_renames(self) -> None:
        self.disk.refusals = 0

    # --- people ---

    @rule(which=st.integers(0, 9), how=st.sampled_from(["flip", "truncate", "delete", "touch"]))
    def edit(self, which: int, how: str) -> None:
        files = self._published_files()
        if not files:
            return
        mine = self._own_model()
        change(files[which % len(files)], how, next(self._numbers))
        if how != "touch":
            self.promised = None
        if mine is not None and (now := snapshot(self.place)) != mine:
            self.known.add(now)
            self.treasures = self.treasures - {mine} | ({now} if now else set())

    @rule()
    def delete(self) -> None:
        self.promised = None
        if not os.path.lexists(self.place):
            return
        self.treasures -= {snapshot(self.place)}
        if self.place.is_dir() and not self.place.is_symlink():
            self.disk.bury(self.place)
        else:
            self.place.unlink()

    @rule(how=st.sampled_from(["fresh", "same inode", "link"]), complete=st.booleans())
    def copy_in(self, how: str, complete: bool) -> None:
        """Copy a model in, or link it; ext4 likes to use the inode of the deleted directory again."""
        number = next(self._numbers)
        files = {
            "config.json": json.dumps({"model_type": "mask2former", "own": number}).encode(),
            "model.safetensors": safetensors_bytes(bytes(20)),
        }
        if not complete:
            del files["model.safetensors"]
        if how == "same inode" and self.place.is_dir() and not self.place.is_symlink():
            self.treasures -= {snapshot(self.place)}
            self.promised = None
            for one in self.place.iterdir():
                one.rename(self.top / "grave" / f"{one.name}-{number}")
        else:
            self.delete()
        if how == "link":
            write(self.outside / str(number), files)
            self.place.symlink_to(self.outside / str(number))
            self.neighbours = self._neighbours()
        else:
            write(self.place, files)
        self.known.add(snapshot(self.place))
        self.treasures.add(snapshot(self.place))

    @rule(what=st.sampled_from(["file", "directory"]))
    def put_something_foreign(self, what: str) -> None:
        self.delete()
        content = f"thesis {next(self._numbers)}".encode()
        if what == "file":
            self.place.write_bytes(content)
        else:
            write(self.place, {"sub/thesis.docx": content})
        self.treasures.add(snapshot(self.place))

    # --- what always holds ---

    @invariant()
    def a_model_is_whole_or_not_found(self) -> None:
        found = self._found()
        assert found is None or found in self.known, "neither a generation nor a copy"
        assert self.promised is None or found == self.promised, "what was there is gone"

    @invariant()
    def nothing_of_other_people_is_touched(self) -> None:
        places = [self.place, *(self.bookkeeping / "replaced").glob("*")]
        kept = {snapshot(path) for path in places if os.path.lexists(path)}
        assert self.treasures <= kept, "something of the user's was deleted"
        assert self._neighbours() == self.neighbours
        assert {path.name for path in self.top.iterdir()} == {"cache", "outside", "grave"}

    def teardown(self) -> None:
        try:
            self._end_well()
        finally:
            self._patch.undo()
            logging.disable(logging.NOTSET)
            shutil.rmtree(self.top, ignore_errors=True)

    def _end_well(self) -> None:
        """Without faults, all is well again."""
        self.disk.refusals = 0
        self.pull(refresh=True)
        self._disown("stale")
        inventory.prune(self._cache())
        left = self.bookkeeping / "staging"
        assert not left.exists() or not list(left.iterdir()), "prune left something"
        self.a_model_is_whole_or_not_found()
        self.nothing_of_other_people_is_touched()

    # --- what the rules share ---

    def _cache(self) -> ModelCache:
        return ModelCache([self.root])

    def _resolve(self, refresh: bool) -> Path:
        return resolve_model(None, NAME, SilentProgress(), refresh=refresh)

    def _pulled(self, directory: Path) -> None:
        """Something was pulled while something else happened."""
        self.promised = None
        assert snapshot(directory) in self.known, "neither a generation nor a copy"

    def _found(self) -> Snapshot | None:
        try:
            directory = self._cache().find(NAME)
        except KkgAreaDetectionError as error:
            check_advice(error)
            return None
        return None if directory is None else snapshot(directory)

    def _own_model(self) -> Snapshot | None:
        """The model at the place, or what is left of it, where people copied it in."""
        there = snapshot(self.place)
        is_model = any(name in ("config.json", "model.safetensors") for name, _ in there)
        return there if is_model and there in self.treasures else None

    def _check_excuse(self, error: KkgAreaDetectionError, refusals: int) -> None:
        check_advice(error)
        excused = {
            UsageError: snapshot(self.place) in self.treasures,
            ObjectNotFoundError: not self.bucket.objects,
            ObjectChangedError: self.bucket.unfinished,
            InvalidModelError: self.bucket.unfinished,
            CacheNotWritableError: refusals > 0,
        }
        assert excused.get(type(error), False), repr(error)

    @contextmanager
    def _asked_by_the_user(self) -> Iterator[None]:
        self.promised = None
        try:
            yield
        except (ModelNotFoundError, CacheNotWritableError, UsageError) as error:
            check_advice(error)

    def _published_files(self) -> list[Path]:
        """The files of the model in its place and of the one that waits; not of what is linked or foreign."""
        directories = [self.pending]
        if self._own_model() or (self.place.is_dir() and snapshot(self.place) not in self.treasures):
            directories.append(self.place)
        return [
            path
            for directory in directories
            if not directory.is_symlink()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        ]

    def _disown(self, fate: str) -> None:
        """The owner of what is in the staging directory is dead: here, or on another machine."""
        machine = staging._machine() if fate == "dead" else "another machine"
        now = time.time() - (300 if fate == "stale" else 0)
        for number, left in enumerate(sorted((self.bookkeeping / "staging").glob("*~*"))):
            owner, journal = left / "owner.json", left / "journal"
            if owner.exists() and f'"pid": {os.getpid()}' in owner.read_text():
                owner.write_text(json.dumps({"machine": machine, "pid": dead_pid()}))
            for path in (journal, left):
                if path.exists():
                    os.utime(path, (now, now + number / 100))

    def _neighbours(self) -> tuple[object, ...]:
        """All that is none of the library's business, with its times."""
        inside = [self.root / name for name in ("diary.txt", "small", "photos")]
        paths = [path for top in (*inside, self.outside) for path in (top, *sorted(top.rglob("*")))]
        return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)


def check_advice(error: KkgAreaDetectionError) -> None:
    assert error.next_step, repr(error)


def meanwhile(act: Callable[[], None]) -> Fault:
    """Do something at the first byte of a reply."""

    def fault(body: FakeBody) -> None:
        body.fault = None
        act()

    return fault


def change(path: Path, how: str, number: int) -> None:
    """Change a file, and its time for certain: two writes may fall into one tick of the clock."""
    content = path.read_bytes()
    match how:
        case "flip" if content:
            with path.open("r+b") as file:  # in place, as editors of weights do
                file.seek(len(content) - 1)
                file.write(bytes([content[-1] ^ 1]))
        case "truncate":
            os.truncate(path, len(content) // 2)
        case "delete":
            path.unlink()
            return
    os.utime(path, (number, number))
