"""COCO instance segmentation: the folders that CVAT and Label Studio export, and that we write.

The format: https://cocodataset.org/#format-data. What is read: polygons (several for one object are joined), run
lengths, plain and compressed (``coco_masks``), and the names of categories. Objects may overlap: a pixel belongs to
the smallest one that covers it. Crowds (``iscrowd`` 1) are left out: they are not single segments.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.documents import open_image
from kkg_area_detection.errors import UsageError
from kkg_area_detection.training.coco_masks import encode, mask_of
from kkg_area_detection.training.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# Below the folder: CVAT's, Label Studio's, Roboflow's and our own place of the annotations.
_ANNOTATIONS = ("annotations/*.json", "result.json", "*.json")
_IMAGES = ("", "images", "images/default", "images/train", "images/Train")
_HELD_OUT_IN = 10  # one in so many images is held out
_FEWEST_FOR_HOLDING_OUT = 5


class CocoError(UsageError):
    """A COCO folder or a part of it cannot be used."""


@dataclass(frozen=True)
class _Entry:
    path: Path
    height: int
    width: int
    annotations: list[dict[str, Any]] = field(default_factory=list)


class CocoFolder:
    """The annotated drawings of a folder.

    Attributes:
        labels: Of its categories, after renaming, in the order of their ids.
        training: Numbers of the images for training.
        held_out: Numbers of the images that are kept for validation: one in ten, chosen by their names, so that
            they stay the same when images are added.
    """

    def __init__(self, file: Path, entries: list[_Entry], label_of: Mapping[int, str]) -> None:
        self._file = file
        self._entries = entries
        self._label_of = label_of
        self.labels = tuple(dict.fromkeys(label_of.values()))
        chosen = [_held_out(entry.path.name) for entry in entries]
        if len(entries) < _FEWEST_FOR_HOLDING_OUT or all(chosen):
            chosen = [False] * len(entries)
        self.held_out = tuple(index for index, held in enumerate(chosen) if held)
        self.training = tuple(index for index, held in enumerate(chosen) if not held)

    @classmethod
    def open(cls, folder: Path, names: Mapping[str, str]) -> CocoFolder:
        """Read the annotations of a folder and check them; pictures are opened when they are read.

        Args:
            folder: Or its annotation file.
            names: From names of categories to labels. Others become what ``kind_of`` recognises in any language, or
                keep their names.

        Raises:
            CocoError: Something is missing or malformed; the message names the file and the annotation.
        """
        file = _annotation_file(folder)
        content = _content(file)
        label_of = _label_of(file, content, names)
        entries = _entries(file, content)
        for number, annotation in enumerate(content["annotations"]):
            _check(file, number, annotation, entries, label_of)
            if not annotation.get("iscrowd"):
                entries[annotation["image_id"]].annotations.append(annotation)
        if not any(entry.annotations for entry in entries.values()):
            raise CocoError(
                f"{file} has no annotated objects.",
                cause="the export was made before anything was annotated, or holds boxes or tags only.",
                next_step="export polygons or masks of objects.",
            )
        return cls(file, list(entries.values()), label_of)

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, index: int, most_pixels: int) -> Sample:
        """Open a picture with its segments.

        Args:
            index: From 0.
            most_pixels: A longer edge is reduced to so many pixels.

        Raises:
            ImageError: The picture is damaged.
            CocoError: Its size is not the one that the annotations are for.
        """
        entry = self._entries[index]
        picture = open_image(entry.path)
        if picture.size != (entry.width, entry.height):
            raise CocoError(
                f"{entry.path} is {picture.width} x {picture.height} pixels, but {self._file.name} says "
                f"{entry.width} x {entry.height}.",
                cause="the picture was replaced after it was annotated, or its orientation tag was ignored there.",
                next_step="put the annotated picture back, or annotate this one.",
            )
        scale = min(1.0, most_pixels / max(entry.height, entry.width))
        height, width = (max(1, round(side * scale)) for side in (entry.height, entry.width))
        if scale < 1:
            picture = picture.resize((width, height), Image.Resampling.BOX)
        ids, labels = self._painted(entry, height, width)
        return Sample(np.array(picture), ids, labels, entry.path.name)

    def _painted(self, entry: _Entry, height: int, width: int) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
        masks = [
            mask_of(annotation["segmentation"], entry.height, entry.width, height, width)
            for annotation in entry.annotations
        ]
        ids = np.zeros((height, width), dtype=np.uint16)
        for index in sorted(range(len(masks)), key=lambda index: -int(masks[index].sum())):
            ids[masks[index]] = index + 1
        return ids, tuple(self._label_of[annotation["category_id"]] for annotation in entry.annotations)


def _held_out(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] * _HELD_OUT_IN < 256


def _annotation_file(folder: Path) -> Path:
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise CocoError(f"There is no folder {folder}.", next_step="check the path.")
    for pattern in _ANNOTATIONS:
        files = sorted(folder.glob(pattern))
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


def _content(file: Path) -> dict[str, Any]:
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


def _label_of(file: Path, content: dict[str, Any], names: Mapping[str, str]) -> dict[int, str]:
    try:
        found = {int(one["id"]): str(one["name"]) for one in content["categories"]}
    except (KeyError, TypeError, ValueError) as error:
        raise CocoError(
            f"A category in {file} lacks its id or name: {error!r}.", next_step="export it anew."
        ) from error
    return {number: names.get(name) or kind_of(name) or name for number, name in sorted(found.items())}


def _entries(file: Path, content: dict[str, Any]) -> dict[Any, _Entry]:
    base = file.parent.parent if file.parent.name == "annotations" else file.parent
    entries: dict[Any, _Entry] = {}
    for number, image in enumerate(content["images"]):
        try:
            name, size = str(image["file_name"]), (int(image["height"]), int(image["width"]))
            key = image["id"]
        except (KeyError, TypeError, ValueError) as error:
            raise CocoError(
                f"Image {number} in {file} lacks a field: {error!r}.", next_step="export it anew."
            ) from error
        entries[key] = _Entry(_picture(file, base, name), *size)
    return entries


def _picture(file: Path, base: Path, name: str) -> Path:
    """Find a picture; some exports name it with folders of the machine where it was annotated."""
    relative = name.replace("\\", "/").lstrip("/")
    for candidate in (relative, relative.rsplit("/", 1)[-1]):
        for folder in _IMAGES:
            path = base / folder / candidate
            if path.is_file() and path.resolve().is_relative_to(base.resolve()):
                return path
    raise CocoError(
        f"The picture {name} of {file} is not there.",
        cause="the export was made without pictures.",
        next_step=f"export with pictures, or put them into {base / 'images'}.",
    )


def _check(
    file: Path, number: int, annotation: Any, entries: Mapping[Any, _Entry], label_of: Mapping[int, str]
) -> None:
    place = f"Annotation {number}"
    if isinstance(annotation, dict) and "id" in annotation:
        place += f" (id {annotation['id']})"
    place += f" in {file}"
    if not isinstance(annotation, dict):
        raise CocoError(f"{place} is no object.", next_step="export it anew.")
    if annotation.get("image_id") not in entries:
        raise CocoError(
            f"{place} belongs to image {annotation.get('image_id')!r}, which is not there.",
            next_step="export anew.",
        )
    if annotation.get("category_id") not in label_of:
        raise CocoError(
            f"{place} is of category {annotation.get('category_id')!r}, which is not there.",
            next_step="export anew.",
        )
    entry = entries[annotation["image_id"]]
    try:
        mask_of(annotation.get("segmentation"), entry.height, entry.width, 1, 1)
    except ValueError as error:
        raise CocoError(
            f"{place} has no usable segmentation: {error}.",
            cause="it is a box or a tag without an outline, or was edited by hand.",
            next_step="draw its outline, or remove it.",
        ) from error


def write_coco_folder(samples: Iterable[Sample], folder: Path) -> int:
    """Write drawings as a COCO folder that ``CocoFolder``, CVAT and pycocotools read.

    Args:
        samples: Drawings; empty segments are left out.
        folder: New, or empty. It gets ``images/`` (PNG) and ``annotations/instances_default.json``.

    Returns:
        The number of drawings.

    Raises:
        CocoError: The folder holds something.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CocoError(f"{folder} is not empty.", next_step="pass a new folder.")
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    category: dict[str, int] = {}
    for number, sample in enumerate(samples, start=1):
        height, width = sample.ids.shape
        name = f"{number:06d}.png"
        Image.fromarray(sample.image).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for id_, label in enumerate(sample.labels, start=1):
            mask = sample.ids == id_
            if mask.any():
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": category.setdefault(label, len(category) + 1),
                        "iscrowd": 0,
                        **encode(mask),
                    }
                )
    categories = [{"id": id_, "name": name, "supercategory": ""} for name, id_ in category.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / "instances_default.json").write_text(
        json.dumps(content, ensure_ascii=False), "utf-8"
    )
    return len(images)
