import json
import os
from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.areas.output import (
    OutputError,
    check_target,
    prepare_directory,
    save_json,
    save_picture,
)


def test_a_directory_is_made_and_left_empty(tmp_path: Path) -> None:
    prepare_directory(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "nul\0byte", "x" * 300])
def test_directories_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write") as caught:
        prepare_directory(tmp_path / name)
    assert caught.value.next_step


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc here")
def test_a_directory_where_nothing_can_be_written() -> None:
    with pytest.raises(OutputError, match="Cannot write"):
        prepare_directory(Path("/proc"))


def test_targets(tmp_path: Path) -> None:
    check_target(tmp_path / "plan.png")
    with pytest.raises(OutputError, match="is a directory"):
        check_target(tmp_path)
    with pytest.raises(OutputError, match="Cannot write"):
        check_target(tmp_path / ("x" * 300))


def test_json(tmp_path: Path) -> None:
    name = os.fsdecode("図面".encode() + b"\xff")  # a name on a Linux disk that is no text
    save_json({"image": name}, tmp_path / "x.json")
    assert "図面" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"image": name}


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_the_disk(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "x.png").write_bytes(b"earlier")
    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        save_picture(Image.new("RGB", (2, 2)), tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.png"]
    assert (tmp_path / "x.png").read_bytes() == b"earlier"
