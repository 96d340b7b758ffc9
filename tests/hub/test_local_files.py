"""Which files of a directory are published."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest

from kkg_area_detection.errors import IntegrityError, InvalidModelError, UnsafeKeyError
from kkg_area_detection.hub.local_files import LocalFile, files_to_publish


def names(directory: Path) -> list[str]:
    return [file.name for file in files_to_publish(directory, leave_out="kkg-manifest.json")]


def write(directory: Path, *paths: str) -> Path:
    for path in paths:
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path)
    return directory


def test_everything_that_belongs_to_a_model(tmp_path: Path) -> None:
    write(tmp_path, "config.json", "model.safetensors", "README.md", "sub/図.txt", "empty.txt")
    assert names(tmp_path) == ["README.md", "config.json", "empty.txt", "model.safetensors", "sub/図.txt"]


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        ".git/config",
        ".env",
        "._config.json",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/config.json",
        "sub/__pycache__/x.pyc",
        "kkg-manifest.json",  # of the download that this is a copy of
    ],
)
def test_what_stays_here(tmp_path: Path, path: str) -> None:
    assert names(write(tmp_path, "config.json", path)) == ["config.json"]


def test_a_nested_manifest_is_a_file_like_others(tmp_path: Path) -> None:
    assert names(write(tmp_path, "sub/kkg-manifest.json")) == ["sub/kkg-manifest.json"]


@pytest.mark.parametrize("path", ["pytorch_model.bin", "optimizer.PT", "sub/last.ckpt"])
def test_pickles_stay_here_with_advice(tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="kkg_area_detection"):
        assert names(write(tmp_path, "config.json", path)) == ["config.json"]
    assert Path(path).name in caplog.text
    assert "--convert" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="making links needs a privilege on Windows")
@pytest.mark.parametrize("place", ["model.safetensors", "folder"])
def test_links_are_refused(tmp_path: Path, place: str) -> None:
    elsewhere = write(tmp_path / "elsewhere", "secret.txt")
    model = write(tmp_path / "model", "config.json")
    (model / place).symlink_to(elsewhere if place == "folder" else elsewhere / "secret.txt")
    with pytest.raises(InvalidModelError, match="is a link") as caught:
        names(model)
    assert "cp -rL" in caught.value.next_step


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
def test_special_files_stay_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(write(tmp_path, "config.json") / "pipe")
    assert names(tmp_path) == ["config.json"]
    assert "not a regular file" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="Windows cannot have such names")
@pytest.mark.parametrize("paths", [["nul"], ["a:b"], ["a\\b"], ["dot."], ["x.json", "X.json"]])
def test_unsafe_names(tmp_path: Path, paths: list[str]) -> None:
    with pytest.raises(UnsafeKeyError) as caught:
        names(write(tmp_path, "config.json", *paths))
    assert str(tmp_path) in caught.value.what
    assert "every system" in caught.value.cause


def test_facts_and_changes(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    file = LocalFile.read(path, "weights")
    assert (file.size, file.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    file.refuse_if_changed()
    status = path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    with pytest.raises(IntegrityError, match="changed while it was uploaded"):
        file.refuse_if_changed()
    path.unlink()
    with pytest.raises(IntegrityError):
        file.refuse_if_changed()


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="cannot be read") as caught:
        LocalFile.read(tmp_path / "gone", "gone")
    assert "permissions" in caught.value.next_step
