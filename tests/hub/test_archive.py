import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kkg_area_detection.errors import DiskFullError, InvalidModelError, KkgAreaDetectionError, UnsafeKeyError
from kkg_area_detection.hub import archive as archive_module
from kkg_area_detection.hub.archive import unpack

CONTENT = {"config.json": b"{}", "sub/notes.txt": "日本語".encode()}


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def make_tar_gz(path: Path, members: dict[str, bytes]) -> Path:
    return make_tar(path, members, "w:gz")


Maker = Callable[[Path, dict[str, bytes]], Path]
MAKERS = [make_zip, make_tar, make_tar_gz]


def files_in(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("folder", ["", "large/", "./"])
def test_the_model_is_found_at_the_top_or_in_the_only_folder(
    make: Maker, folder: str, tmp_path: Path
) -> None:
    if folder == "./" and make is make_zip:
        folder = ""  # zip programs never write it
    packed = make(tmp_path / "m", {folder + name: data for name, data in CONTENT.items()})
    root = unpack(packed, tmp_path / "out", "s3://b/m.zip")
    assert files_in(root) == CONTENT


@pytest.mark.parametrize("make", MAKERS)
def test_clutter_is_left_out(make: Maker, tmp_path: Path) -> None:
    packed = make(tmp_path / "m", CONTENT | {"__MACOSX/._config.json": b"x", "sub/.DS_Store": b"x"})
    assert files_in(unpack(packed, tmp_path / "out", "m")) == CONTENT


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "name", ["../evil", "/abs", "a/../../evil", "C:\\evil", "a\\b", "nul", "CONFIG.JSON"]
)
def test_nothing_escapes(make: Maker, name: str, tmp_path: Path) -> None:
    packed = make(tmp_path / "m", CONTENT | {name: b"evil"})
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UnsafeKeyError):
        unpack(packed, tmp_path / "out", "m")
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m", "w") as archive:
        info = tarfile.TarInfo("config.json")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UnsafeKeyError, match="link or a device"):
        unpack(tmp_path / "m", tmp_path / "out", "m")


def test_links_in_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        info = zipfile.ZipInfo("config.json")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UnsafeKeyError, match="link or a device"):
        unpack(tmp_path / "m", tmp_path / "out", "m")


def cut(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-40])


def flip(packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[60] ^= 0xFF
    packed.write_bytes(data)


def overwrite(packed: Path) -> None:
    packed.write_bytes(b"<html>not an archive</html>")


@pytest.mark.parametrize(
    ("make", "damage"),
    [
        (make_zip, cut),
        (make_zip, flip),
        (make_zip, overwrite),
        (make_tar, overwrite),
        (make_tar_gz, cut),
        (make_tar_gz, flip),
    ],
)
def test_damage_is_noticed(make: Maker, damage: Callable[[Path], None], tmp_path: Path) -> None:
    packed = make(tmp_path / "m", {"config.json": bytes(range(256)) * 40})
    damage(packed)
    with pytest.raises(KkgAreaDetectionError) as caught:
        unpack(packed, tmp_path / "out", "s3://b/m.zip")
    assert "s3://b/m.zip" in str(caught.value)
    assert caught.value.next_step


def test_every_flipped_bit_of_a_gzip_stream_is_noticed(tmp_path: Path) -> None:
    data = os.urandom(2000)  # what does not compress is stored as it is, and a flip changes just one byte
    content = make_tar_gz(tmp_path / "m", {"config.json": data}).read_bytes()
    for number, position in enumerate(range(20, len(content), 97)):
        damaged = bytearray(content)
        damaged[position] ^= 1
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(KkgAreaDetectionError):
            unpack(tmp_path / "damaged", tmp_path / f"out{number}", "m")


def test_a_gzip_stream_without_its_end(tmp_path: Path) -> None:
    packed = make_tar_gz(tmp_path / "m", CONTENT)
    packed.write_bytes(packed.read_bytes()[:-8])
    with pytest.raises(InvalidModelError, match="cannot be unpacked"):
        unpack(packed, tmp_path / "out", "m")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compression_in_a_zip(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "m", "w", method) as archive:
        archive.writestr("config.json", b"{}")
    with pytest.raises(InvalidModelError, match="compressed in a rare way"):
        unpack(tmp_path / "m", tmp_path / "out", "m")


@pytest.mark.parametrize("mode", ["w:xz", "w:bz2"])
def test_rare_compression_of_a_tar(tmp_path: Path, mode: str) -> None:
    with pytest.raises(InvalidModelError, match="cannot be unpacked"):
        unpack(make_tar(tmp_path / "m", CONTENT, mode), tmp_path / "out", "m")


def test_encrypted_zip(tmp_path: Path) -> None:
    packed = make_zip(tmp_path / "m", CONTENT)
    data = bytearray(packed.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    packed.write_bytes(data)
    with pytest.raises(InvalidModelError, match="encrypted"):
        unpack(packed, tmp_path / "out", "m")


@pytest.mark.parametrize("make", MAKERS)
def test_a_bomb_is_refused_before_it_is_unpacked(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = make(tmp_path / "m", {"config.json": bytes(1_000_000)})
    monkeypatch.setattr(archive_module, "free_bytes", lambda _: 999_999)
    with pytest.raises(DiskFullError, match=r"unpacks to 1.0 MB"):
        unpack(packed, tmp_path / "out", "m")
    assert files_in(tmp_path / "out") == {}


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 3)
    packed = make_tar(tmp_path / "m", {f"file-{number}": b"" for number in range(4)})
    with pytest.raises(InvalidModelError, match="more than 3 members"):
        unpack(packed, tmp_path / "out", "m")
