"""Where the programs that export COCO put annotations and pictures."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from PIL import ExifTags, Image

from kkg_area_detection.documents.limits import pillow_limit, pixel_limit
from kkg_area_detection.documents.raster import explained
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Below the folder: CVAT's, Label Studio's, Roboflow's and our own place of the annotations.
_ANNOTATIONS = ("annotations/*.json", "result.json", "*.json")
_LYING = range(5, 9)  # orientations of EXIF that swap width and height


class CocoError(UsageError):
    """A COCO folder or a part of it cannot be used."""


def annotation_file(folder: Path) -> Path:
    """Find the annotations of a folder.

    Raises:
        CocoError: There are none, or several.
    """
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise CocoError(f"There is no folder {folder}.", next_step="check the path.")
    for pattern in _ANNOTATIONS:
        files = sorted(file for file in folder.glob(pattern) if not file.name.startswith("."))
        if len(files) > 1:
            raise CocoError(
                f"{folder} holds several annotation files: {', '.join(file.name for file in files)}.",
                next_step="pass the one that is meant instead of the folder.",
            )
        if files:
            return files[0]
    raise CocoError(
        f"{folder} holds no COCO annotations.",
        cause="it is not an export in the format COCO (1.0), or was unpacked elsewhere.",
        next_step=f"pass the folder that holds {' or '.join(_ANNOTATIONS[:2])}.",
    )


def read_content(file: Path) -> dict[str, Any]:
    """Read annotations, and check that the lists of COCO are there.

    Raises:
        CocoError: They cannot be read, or lack a list.
    """
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise CocoError(f"{file} is not JSON: {error}.", next_step="export it anew.") from error
    except OSError as error:
        raise CocoError(f"{file} cannot be read: {error}.", next_step="check its permissions.") from error
    for name in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise CocoError(
                f"{file} has no list {name!r}.",
                cause="it is not COCO, or not its kind for instances.",
                next_step="export in the format COCO (instance segmentation).",
            )
    return dict(content)


def find_picture(file: Path, base: Path, name: str) -> Path:
    """Find a picture; some exports name it with folders of the machine where it was annotated.

    Args:
        file: The annotations, for the message.
        base: Folder of the export. Nothing outside it is looked at, except through links in it.
        name: As the annotations give it.

    Raises:
        CocoError: It is not there.
    """
    places = ("", "images", *sorted(f"images/{path.name}" for path in base.glob("images/*/")))
    for candidate in _candidates(name):
        for place in places:
            path = base / place / candidate
            if path.is_file():
                return path
    raise CocoError(
        f"The picture {name} of {file} is not there.",
        cause="the export was made without pictures.",
        next_step=f"export with pictures, or put them into {base / 'images'}.",
    )


def _candidates(name: str) -> Iterator[str]:
    """With folders, then without; as written, and with what URLs and the file names of Macs do to letters."""
    written = name.replace("\\", "/").lstrip("/")
    within = not {"..", "."} & set(written.split("/")) and ":" not in written
    for text in (*([written] if within else []), written.rsplit("/", 1)[-1]):
        for form in dict.fromkeys((text, unquote(text))):
            if "/../" not in f"/{form}/":
                yield from dict.fromkeys(
                    (form, *(unicodedata.normalize(kind, form) for kind in ("NFC", "NFD")))
                )


def upright_size(path: Path) -> tuple[int, int]:
    """Read width and height of a picture, as it is shown, without decoding it.

    Raises:
        ImageError: It is no picture.
    """
    with explained(str(path)), pillow_limit(pixel_limit(None)), Image.open(path) as picture:
        width, height = picture.size
        known = picture.format != "PNG" or "exif" in picture.info  # Pillow decodes a PNG to look for more
        lying = known and picture.getexif().get(ExifTags.Base.Orientation) in _LYING
        return (height, width) if lying else (width, height)
