import os
from pathlib import Path

import pytest

from kkg_area_detection.hub.journal import Journal, RangeRecord, read_journal

RECORD = RangeRecord("sub/重み", '"etag"', 0, 10, "CRC32", 0, (("0a0b", 10),))
OTHER = RangeRecord("config.json", '"e"', 10, 20, "SHA256", 5, (("aa", 5), ("bb", 5)))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal")
    journal.begin({"model": "large"})
    return journal


def test_what_was_written_is_read(journal: Journal, tmp_path: Path) -> None:
    journal.add(RECORD)
    journal.add(OTHER)
    assert read_journal(tmp_path / "journal") == ({"model": "large"}, [RECORD, OTHER])


def test_a_second_beginning_keeps_the_records(journal: Journal, tmp_path: Path) -> None:
    journal.add(RECORD)
    journal.begin({"model": "large"})
    journal.add(OTHER)
    assert read_journal(tmp_path / "journal")[1] == [RECORD, OTHER]


def test_void(journal: Journal, tmp_path: Path) -> None:
    journal.add(RECORD)
    journal.add(OTHER)
    journal.void(RECORD.path)
    assert read_journal(tmp_path / "journal")[1] == [OTHER]


def test_no_journal(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "journal") == ({}, [])


def test_every_truncation_keeps_the_whole_lines(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal.add(RECORD)
    journal.add(OTHER)
    content = path.read_bytes()
    ends = [position + 1 for position, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        whole = sum(end - 1 <= size for end in ends)  # the line break itself carries nothing
        assert len(read_journal(path)[1]) == max(0, whole - 1)


def test_every_flipped_byte_costs_one_line(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal.add(RECORD)
    content = path.read_bytes()
    start = content.index(b"\n") + 1
    for position in range(start, len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        assert read_journal(path)[1] in ([], [RECORD])  # upper-case hexadecimal is the same number


@pytest.mark.parametrize("content", [b"", b"\n\n", b"x", b"\x00" * 100, b"00000000 \n", b"deadbeef []\n"])
def test_rubbish(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal").write_bytes(content)
    assert read_journal(tmp_path / "journal") == ({}, [])


def test_touch(journal: Journal, tmp_path: Path) -> None:
    os.utime(tmp_path / "journal", (1, 1))
    journal.touch()
    assert (tmp_path / "journal").stat().st_mtime > 1_000_000
