import base64
import hashlib
import os
import random
import zlib
from pathlib import Path

import pytest

from kkg_area_detection.hub import integrity
from kkg_area_detection.hub.integrity import (
    Checksum,
    CrcHasher,
    RangeDigest,
    combine,
    digest_of,
    file_matches,
    is_multipart,
    matches,
    new_hasher,
    offered_checksum,
    range_algorithm,
)

CRCS = ["CRC32", "CRC32C", "CRC64NVME"]
# Check values of the catalogue for the nine bytes "123456789".
CHECKS = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


def b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


@pytest.mark.parametrize("algorithm", CRCS)
def test_check_values(algorithm: str) -> None:
    hasher = CrcHasher(algorithm)
    hasher.update(b"12345")
    hasher.update(memoryview(b"6789"))
    assert hasher.digest().hex() == CHECKS[algorithm]


@pytest.mark.parametrize("algorithm", CRCS)
def test_the_table_gives_the_same(algorithm: str) -> None:
    crc = integrity._table_crc(algorithm)
    assert f"{crc(b'6789', crc(b'12345', 0)):x}" == CHECKS[algorithm]
    data = os.urandom(1000)
    quick = CrcHasher(algorithm)
    quick.update(data)
    assert crc(memoryview(data), 0) == int.from_bytes(quick.digest(), "big")


@pytest.mark.parametrize("algorithm", CRCS)
def test_combination_equals_the_crc_of_the_joined_pieces(algorithm: str) -> None:
    rng = random.Random(algorithm)
    for _ in range(30):
        pieces = [rng.randbytes(rng.choice([0, 1, 7, 64, 1000])) for _ in range(rng.randrange(6))]
        digests = []
        for piece in pieces:
            hasher = CrcHasher(algorithm)
            hasher.update(piece)
            digests.append((hasher.digest(), len(piece)))
        whole = CrcHasher(algorithm)
        whole.update(b"".join(pieces))
        assert combine(algorithm, digests) == whole.digest()


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "MD5"])
def test_hashes_of_the_library(algorithm: integrity.Algorithm) -> None:
    hasher = new_hasher(algorithm)
    hasher.update(b"123456789")
    assert hasher.digest() == hashlib.new(algorithm.lower(), b"123456789").digest()


MD5_ETAG = '"5d41402abc4b2a76b9719d911017c592"'
MD5 = bytes.fromhex(MD5_ETAG.strip('"'))
CRC, SHA = b"\1\2\3\4\5\6\7\10", bytes(range(32))


@pytest.mark.parametrize(
    ("headers", "etag", "size", "part_size", "expected"),
    [
        ({}, MD5_ETAG, 5, 0, Checksum("MD5", MD5)),
        ({}, MD5_ETAG.strip('"'), 5, 0, Checksum("MD5", MD5)),
        ({}, '"something else"', 5, 0, None),
        ({"ServerSideEncryption": "AES256"}, MD5_ETAG, 5, 0, Checksum("MD5", MD5)),
        ({"ServerSideEncryption": "aws:kms"}, MD5_ETAG, 5, 0, None),
        ({"ServerSideEncryption": "aws:kms:dsse"}, MD5_ETAG, 5, 0, None),
        ({"SSECustomerAlgorithm": "AES256"}, MD5_ETAG, 5, 0, None),
        ({}, MD5_ETAG[:-1] + '-2"', 15, 10, Checksum("MD5", MD5, 2, 10)),
        ({}, MD5_ETAG[:-1] + '-2"', 15, 0, None),  # the size of a part is not known
        ({}, MD5_ETAG[:-1] + '-2"', 25, 10, None),  # parts of different sizes
        ({"ChecksumCRC64NVME": b64(CRC)}, MD5_ETAG, 5, 0, Checksum("CRC64NVME", CRC)),
        ({"ChecksumCRC32": b64(CRC[:4]), "ChecksumSHA256": b64(SHA)}, "", 5, 0, Checksum("SHA256", SHA)),
        ({"ChecksumCRC32": b64(CRC[:4]) + "-3"}, '"x-3"', 25, 10, Checksum("CRC32", CRC[:4], 3, 10)),
        ({"ChecksumSHA256": b64(SHA) + "-3"}, '"x-3"', 25, 10, Checksum("SHA256", SHA, 3, 10)),
        ({"ChecksumCRC32": b64(CRC[:4]) + "-3"}, '"x-3"', 25, 0, None),
        ({"ChecksumCRC32": "no base64!"}, MD5_ETAG, 5, 0, Checksum("MD5", MD5)),
        ({"ChecksumCRC32": b64(CRC[:4]) + "-x"}, MD5_ETAG, 5, 0, Checksum("MD5", MD5)),
    ],
)
def test_offered_checksum(
    headers: dict[str, object], etag: str, size: int, part_size: int, expected: Checksum | None
) -> None:
    assert offered_checksum(headers, etag, size, part_size) == expected


@pytest.mark.parametrize(
    ("headers", "etag", "multipart"),
    [
        ({}, MD5_ETAG, False),
        ({}, MD5_ETAG[:-1] + '-2"', True),
        ({"ChecksumCRC64NVME": b64(CRC)}, MD5_ETAG[:-1] + '-2"', False),
        ({"ChecksumCRC32": b64(CRC[:4]) + "-2"}, MD5_ETAG[:-1] + '-2"', True),
    ],
)
def test_is_multipart(headers: dict[str, object], etag: str, multipart: bool) -> None:
    assert is_multipart(headers, etag) is multipart


@pytest.mark.parametrize(
    ("checksum", "algorithm"),
    [
        (None, "CRC64NVME"),
        (Checksum("CRC32C", b""), "CRC32C"),
        (Checksum("SHA256", b""), "CRC64NVME"),  # it does not combine; the file is read once more
        (Checksum("SHA256", b"", 2, 10), "SHA256"),
        (Checksum("MD5", b"", 2, 10), "MD5"),
    ],
)
def test_range_algorithm(checksum: Checksum | None, algorithm: str) -> None:
    assert range_algorithm(checksum) == algorithm


@pytest.mark.parametrize("chunk", [1, 3, 10, 25, 100])
def test_range_digest_closes_at_every_part(chunk: int) -> None:
    data = os.urandom(25)
    digest = RangeDigest("CRC32", 10)
    for start in range(0, 25, chunk):
        digest.update(memoryview(data)[start : start + chunk])
    expected = [
        (zlib.crc32(part).to_bytes(4, "big"), len(part)) for part in (data[:10], data[10:20], data[20:])
    ]
    assert digest.digests() == expected


@pytest.mark.parametrize(
    "checksum",
    [
        Checksum("SHA256", hashlib.sha256(b"0123456789abcde").digest()),
        Checksum("MD5", hashlib.md5(b"0123456789abcde").digest()),
        Checksum("CRC32", zlib.crc32(b"0123456789abcde").to_bytes(4, "big")),
        Checksum(
            "SHA1",
            hashlib.sha1(hashlib.sha1(b"0123456789").digest() + hashlib.sha1(b"abcde").digest()).digest(),
            2,
            10,
        ),
    ],
)
def test_files(tmp_path: Path, checksum: Checksum) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789abcde")
    assert file_matches(checksum, path)
    digest = RangeDigest(range_algorithm(checksum), checksum.part_size)
    digest.update(memoryview(b"0123456789abcde"))
    assert matches(checksum, digest.digests(), path)
    path.write_bytes(b"0123456789abcdf")
    assert not file_matches(checksum, path)


def test_digest_of_a_large_file(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    assert digest_of(tmp_path / "file", "SHA256") == hashlib.sha256(data).digest()


def test_text() -> None:
    assert str(Checksum("CRC32", b"\1\2")) == "CRC32:0102"
    assert str(Checksum("CRC32", b"\1\2", 3, 10)) == "CRC32:0102-3"
