"""Objects in memory behind the interface of `S3Store`, with faults at will: each attack is a few lines."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from kkg_area_detection.errors import EndpointError
from kkg_area_detection.hub.integrity import Checksum, new_hasher, offered_checksum
from kkg_area_detection.hub.plan import DownloadPlan, PlannedFile, RemoteObject

# What a fault does with the bytes of one reply; it may raise.
Fault = Callable[["FakeBody"], None]


def crc64(data: bytes) -> str:
    hasher = new_hasher("CRC64NVME")
    hasher.update(data)
    return base64.b64encode(hasher.digest()).decode()


def composite_crc32(data: bytes, part_size: int) -> str:
    parts = [data[at : at + part_size] for at in range(0, len(data), part_size)]
    joined = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in parts)
    return base64.b64encode(zlib.crc32(joined).to_bytes(4, "big")).decode() + f"-{len(parts)}"


def multipart_etag(data: bytes, part_size: int) -> str:
    parts = [data[at : at + part_size] for at in range(0, len(data), part_size)]
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'


@dataclass
class FakeObject:
    data: bytes
    headers: Mapping[str, object] = field(default_factory=dict)
    etag: str = ""
    part_size: int = 0

    def __post_init__(self) -> None:
        self.etag = self.etag or f'"{hashlib.md5(self.data).hexdigest()}"'


class FakeBody:
    def __init__(self, data: bytes, headers: Mapping[str, object], fault: Fault | None) -> None:
        self.data, self.headers, self.fault, self.at = data, headers, fault, 0

    def readinto(self, buffer: memoryview) -> int:
        if self.fault:
            self.fault(self)
        chunk = self.data[self.at : self.at + len(buffer)]
        buffer[: len(chunk)] = chunk
        self.at += len(chunk)
        return len(chunk)

    def give_up(self) -> None:
        self.fault = break_off(0, EndpointError("given up"))


class FakeStore:
    def __init__(self, objects: Mapping[str, FakeObject], faults: list[Fault | None] | None = None) -> None:
        self.objects = objects
        self.faults = faults or []
        self.generation = 0
        self.reads: list[tuple[str, int, int | None]] = []

    def renew(self, generation: int) -> None:
        if generation == self.generation:
            self.generation += 1

    def checksum(self, bucket: str, item: RemoteObject) -> Checksum | None:
        stored = self.objects[item.key]
        return offered_checksum(stored.headers, stored.etag, len(stored.data), stored.part_size)

    @contextmanager
    def read(
        self, bucket: str, item: RemoteObject, start: int = 0, end: int | None = None
    ) -> Iterator[FakeBody]:
        self.reads.append((item.key, start, end))
        stored = self.objects[item.key]
        yield FakeBody(stored.data[start:end], stored.headers, self.faults.pop(0) if self.faults else None)

    def plan(self) -> DownloadPlan:
        files = (
            PlannedFile(RemoteObject(key, len(stored.data), stored.etag), PurePosixPath(key))
            for key, stored in self.objects.items()
        )
        return DownloadPlan("bucket", "m/", tuple(files))


def flip(at: int) -> Fault:
    """Invert one bit of the reply."""

    def fault(body: FakeBody) -> None:
        damaged = bytearray(body.data)
        damaged[at] ^= 1
        body.data, body.fault = bytes(damaged), None

    return fault


def cut(at: int) -> Fault:
    """End the reply early, without a word."""

    def fault(body: FakeBody) -> None:
        body.data, body.fault = body.data[:at], None

    return fault


def break_off(at: int, error: BaseException) -> Fault:
    """Give so many bytes, then fail."""

    def fault(body: FakeBody) -> None:
        if body.at >= at:
            raise error
        body.data = body.data[:at]

    return fault
