"""Checksums: what S3 offers for an object, and what arrived, compared piece by piece.

An object is fetched in ranges by several workers, so its checksum is put together from those of the ranges:

* CRCs of a whole object combine: the CRC of two joined pieces follows from theirs and the second's length.
* A *composite* checksum of a multipart upload is the checksum of its parts' checksums, so ranges are aligned to
  parts. The same holds for the ETag of a plain multipart upload, with MD5
  (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
* SHA and MD5 of a whole object do not combine; the file is read once more when it is complete.

Catalogue of the CRCs: https://reveng.sourceforge.io/crc-catalogue/all.htm (CRC-32/ISO-HDLC, CRC-32/ISCSI,
CRC-64/NVME); all three are reflected, with all bits set before and inverted after.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

Algorithm = Literal["SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1", "MD5"]

# What S3 may offer, the one to trust first. MD5 stands for an ETag that is one.
PREFERENCE: tuple[Algorithm, ...] = ("SHA256", "CRC64NVME", "CRC32C", "CRC32", "SHA1", "MD5")

# Reflected polynomials, and their widths in bits.
_CRCS: Mapping[str, tuple[int, int]] = {
    "CRC32": (0xEDB88320, 32),
    "CRC32C": (0x82F63B78, 32),
    "CRC64NVME": (0x9A6C9329AC4BC9B5, 64),
}
_READ_BYTES = 1 << 20
_MD5_ETAG = re.compile(r'"?([0-9a-f]{32})(?:-([1-9][0-9]*))?"?')


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum that S3, or a manifest, gives for one object.

    Attributes:
        algorithm: How it was computed.
        value: The digest itself.
        parts: Number of parts of a composite checksum; 0 for one of the whole object.
        part_size: Bytes of each part but the last; 0 for a checksum of the whole object.
    """

    algorithm: Algorithm
    value: bytes
    parts: int = 0
    part_size: int = 0

    @property
    def combines(self) -> bool:
        """Whether it follows from the checksums of ranges, without reading the file again."""
        return self.parts > 0 or self.algorithm in _CRCS

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value.hex()}" + (f"-{self.parts}" if self.parts else "")


def offered_checksum(headers: Mapping[str, object], etag: str, size: int, part_size: int) -> Checksum | None:
    """The strongest checksum that the reply to a GET or HEAD offers.

    Args:
        headers: The reply as boto3 parses it: ``ChecksumCRC64NVME`` and so on, in base64, with ``-N`` behind a
            composite one; ``ServerSideEncryption``, ``SSECustomerAlgorithm``.
        etag: The object's ETag.
        size: The object's size in bytes.
        part_size: Size of the first part of a multipart upload; 0 where it is not known.

    Returns:
        None where nothing is offered that can be checked: an ETag of an object that is encrypted with a KMS or
        customer key is no MD5, and parts of different sizes cannot be told apart.
    """
    for algorithm in PREFERENCE:
        text = headers.get(f"Checksum{algorithm}")
        if isinstance(text, str):
            found = _parse_checksum(algorithm, text, size, part_size)
            if found is not None:
                return found
    if headers.get("SSECustomerAlgorithm") or str(headers.get("ServerSideEncryption", "")).startswith(
        "aws:kms"
    ):
        return None
    match = _MD5_ETAG.fullmatch(etag)
    if match is None:
        return None
    parts = int(match[2] or 0)
    return _with_parts(Checksum("MD5", bytes.fromhex(match[1])), parts, size, part_size)


def is_multipart(headers: Mapping[str, object], etag: str) -> bool:
    """Whether the size of a part must be known to check the object."""
    texts = (headers.get(f"Checksum{algorithm}") for algorithm in PREFERENCE)
    whole = any(isinstance(text, str) and "-" not in text for text in texts)
    return not whole and "-" in etag


def _parse_checksum(algorithm: Algorithm, text: str, size: int, part_size: int) -> Checksum | None:
    encoded, _, parts = text.partition("-")
    try:
        value = base64.b64decode(encoded, validate=True)
        return _with_parts(Checksum(algorithm, value), int(parts or 0), size, part_size)
    except (binascii.Error, ValueError):
        return None


def _with_parts(whole: Checksum, parts: int, size: int, part_size: int) -> Checksum | None:
    if not parts:
        return whole
    if part_size <= 0 or -(-size // part_size) != parts:
        return None
    return Checksum(whole.algorithm, whole.value, parts, part_size)


# --- digests of what arrives -------------------------------------------------------------------------------


class Hasher(Protocol):
    """What ``hashlib`` and our CRCs have in common."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all bytes so far."""
        ...


class CrcHasher:
    """A CRC with the interface of ``hashlib``."""

    def __init__(self, algorithm: str) -> None:
        self._update = _crc_function(algorithm)
        self._n_bytes = _CRCS[algorithm][1] // 8
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""
        self._value = self._update(data, self._value)

    def digest(self) -> bytes:
        """The CRC, big-endian, as S3 writes it."""
        return self._value.to_bytes(self._n_bytes, "big")


def new_hasher(algorithm: Algorithm) -> Hasher:
    """An empty hasher."""
    if algorithm in _CRCS:
        return CrcHasher(algorithm)
    return hashlib.new(algorithm.lower(), usedforsecurity=False)


@dataclass(slots=True)
class RangeDigest:
    """The digests of one range: one for all of it, or one for each part of a composite checksum in it.

    Args:
        algorithm: The object's, or CRC64NVME where it has none that combines.
        part_size: Bytes a part; 0 for one digest of the whole range. The range must begin at a part.
    """

    algorithm: Algorithm
    part_size: int = 0
    _done: list[tuple[bytes, int]] = field(default_factory=list)
    _hasher: Hasher | None = None
    _in_part: int = 0

    def update(self, data: memoryview) -> None:
        """Take the next bytes of the range."""
        while len(data):
            if self._hasher is None:
                self._hasher, self._in_part = new_hasher(self.algorithm), 0
            room = self.part_size - self._in_part if self.part_size else len(data)
            piece, data = data[:room], data[room:]
            self._hasher.update(piece)
            self._in_part += len(piece)
            if self._in_part == self.part_size:
                self._close()

    def digests(self) -> list[tuple[bytes, int]]:
        """Digest and number of bytes of each piece; call it when the range is complete."""
        if self._hasher is not None:
            self._close()
        return self._done

    def _close(self) -> None:
        assert self._hasher is not None
        self._done.append((self._hasher.digest(), self._in_part))
        self._hasher = None


def range_algorithm(checksum: Checksum | None) -> Algorithm:
    """What to compute while bytes arrive: always something, because a resumed download checks it."""
    return checksum.algorithm if checksum is not None and checksum.combines else "CRC64NVME"


def matches(checksum: Checksum, pieces: Iterable[tuple[bytes, int]], path: Path) -> bool:
    """Whether a complete file is what the checksum says.

    Args:
        checksum: What S3 or the manifest says.
        pieces: Digest and size of every piece in order, as ``RangeDigest`` gives them for it.
        path: The file; read only where the checksum does not combine.
    """
    if not checksum.combines:
        return digest_of(path, checksum.algorithm) == checksum.value
    if checksum.parts:
        of_parts = new_hasher(checksum.algorithm)
        for digest, _ in pieces:
            of_parts.update(digest)
        return of_parts.digest() == checksum.value
    return combine(checksum.algorithm, pieces) == checksum.value


def digest_of(path: Path, algorithm: Algorithm) -> bytes:
    """The digest of a file."""
    hasher = new_hasher(algorithm)
    buffer = memoryview(bytearray(_READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    return hasher.digest()


def file_matches(checksum: Checksum, path: Path) -> bool:
    """Whether a file is what the checksum says, reading all of it."""
    if not checksum.parts:
        return digest_of(path, checksum.algorithm) == checksum.value
    digest = RangeDigest(checksum.algorithm, checksum.part_size)
    buffer = memoryview(bytearray(_READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return matches(checksum, digest.digests(), path)


def combine(algorithm: str, pieces: Iterable[tuple[bytes, int]]) -> bytes:
    """The CRC of joined pieces, from the CRC and the size in bytes of each.

    The CRC register after a piece of n bytes is the one before it times x^(8n), plus the piece's own, in
    arithmetic modulo the polynomial; see Mark Adler, https://github.com/madler/zlib (``crc32_combine``).
    """
    polynomial, width = _CRCS[algorithm]
    total = 0
    for digest, size in pieces:
        shifted = _multiply(_power_of_x(8 * size, polynomial, width), total, polynomial, width)
        total = shifted ^ int.from_bytes(digest, "big")
    return total.to_bytes(width // 8, "big")


def _multiply(a: int, b: int, polynomial: int, width: int) -> int:
    """Product of two reflected polynomials modulo the CRC's; the highest bit stands for x^0."""
    product = 0
    for bit in range(width - 1, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (polynomial if b & 1 else 0)
    return product


@cache
def _power_of_x(exponent: int, polynomial: int, width: int) -> int:
    """X to a power, by repeated squaring."""
    one, x = 1 << (width - 1), 1 << (width - 2)
    result, square = one, x
    while exponent:
        if exponent & 1:
            result = _multiply(result, square, polynomial, width)
        square = _multiply(square, square, polynomial, width)
        exponent >>= 1
    return result


@cache
def _crc_function(algorithm: str) -> Callable[[bytes | memoryview, int], int]:
    """The quickest function for a CRC on this machine: awscrt, zlib, or a table in Python."""
    try:
        from awscrt import checksums
    except ImportError:
        return zlib.crc32 if algorithm == "CRC32" else _table_crc(algorithm)
    functions: dict[str, Callable[[bytes | memoryview, int], int]] = {
        "CRC32": checksums.crc32,
        "CRC32C": checksums.crc32c,
        "CRC64NVME": checksums.crc64nvme,
    }
    return functions[algorithm]


def _table_crc(algorithm: str) -> Callable[[bytes | memoryview, int], int]:
    """A CRC in plain Python: some megabytes a second, for machines without awscrt."""
    polynomial, width = _CRCS[algorithm]
    ones = (1 << width) - 1
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)  # noqa: PLW2901
        table.append(value)

    def crc(data: bytes | memoryview, previous: int = 0) -> int:
        register = previous ^ ones
        for byte in bytes(data):
            register = table[(register ^ byte) & 0xFF] ^ register >> 8
        return register ^ ones

    return crc
