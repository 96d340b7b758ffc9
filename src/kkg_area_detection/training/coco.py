"""COCO instance segmentation: the folders that CVAT and Label Studio export, and that we write.

The format: https://cocodataset.org/#format-data. What is read: polygons (several for one object are joined), run
lengths, plain and compressed (``coco_masks``), boxes of objects without either, and the names of categories.
Objects may overlap: a pixel belongs to the smallest one that covers it. ``iscrowd`` says nothing here: CVAT sets it
for whatever was drawn with its brush.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.documents import open_image
from kkg_area_detection.training.coco_files import (
    CocoError,
    annotation_file,
    find_picture,
    read_content,
    upright_size,
)
from kkg_area_detection.training.coco_masks import encode, mask_of
from kkg_area_detection.training.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_HELD_OUT_IN = 10  # one in so many images is held out
_FEWEST_FOR_HOLDING_OUT = 5


@dataclass(frozen=True)
class _Entry:
    path: Path
    height: int
    width: int
    annotations: list[dict[str, Any]] = field(default_factory=list)


class CocoFolder:
    """The annotated drawings of a folder.

    Attributes:
        categories: Their names, as the annotations have them.
        labels: Of its categories, after renaming, in the order of their ids.
        training: Numbers of the images for training.
        held_out: Numbers of the images that are kept for validation: about one in ten, and at least one of five,
            chosen by their names, so that they stay the same when images are added.
    """

    def __init__(
        self, entries: list[_Entry], categories: tuple[str, ...], label_of: Mapping[int, str]
    ) -> None:
        self._entries = entries
        self.categories = categories
        self._label_of = label_of
        self.labels = tuple(dict.fromkeys(label_of.values()))
        draws = [_draw(entry.path.name) for entry in entries]
        chosen = [draw <= max(1 / _HELD_OUT_IN, min(draws)) for draw in draws]
        if len(entries) < _FEWEST_FOR_HOLDING_OUT or all(chosen):
            chosen = [False] * len(entries)
        self.held_out = tuple(index for index, held in enumerate(chosen) if held)
        self.training = tuple(index for index, held in enumerate(chosen) if not held)

    @classmethod
    def open(cls, folder: Path, names: Mapping[str, str]) -> CocoFolder:
        """Read the annotations of a folder and check them; of pictures, only whether they have the right size.

        Pictures without an annotation are left out: most often they are yet to be annotated.

        Args:
            folder: Or its annotation file.
            names: From names of categories to labels. Others become what ``kind_of`` recognises in any language, or
                keep their names.

        Raises:
            CocoError: Something is missing or malformed; the message names the file and the annotation.
            ImageError: A picture is damaged.
        """
        file = annotation_file(folder)
        content = read_content(file)
        name_of = _category_names(file, content)
        label_of = {number: names.get(name) or kind_of(name) or name for number, name in name_of.items()}
        entries = _entries(file, content)
        for number, annotation in enumerate(content["annotations"]):
            _check(file, number, annotation, entries, label_of)
            entries[annotation["image_id"]].annotations.append(annotation)
        annotated = [entry for entry in entries.values() if entry.annotations]
        if not annotated:
            raise CocoError(
                f"{file} has no annotated objects.",
                cause="the export was made before anything was annotated, or holds tags only.",
                next_step="export polygons or masks of objects.",
            )
        if len(annotated) < len(entries):
            logger.warning(
                "%d of the %d pictures of %s have no annotation and are left out.",
                len(entries) - len(annotated),
                len(entries),
                file,
            )
        return cls(annotated, tuple(name_of.values()), label_of)

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, index: int, most_pixels: int) -> Sample:
        """Open a picture with its segments.

        Args:
            index: From 0.
            most_pixels: A longer edge is reduced to so many pixels.

        Raises:
            ImageError: The picture is damaged.
        """
        entry = self._entries[index]
        picture = open_image(entry.path)
        scale = min(1.0, most_pixels / max(entry.height, entry.width))
        height, width = (max(1, round(side * scale)) for side in (entry.height, entry.width))
        if scale < 1:
            picture = picture.resize((width, height), Image.Resampling.BOX)
        ids, labels = self._painted(entry, height, width)
        return Sample(np.array(picture), ids, labels, entry.path.name)

    def _painted(self, entry: _Entry, height: int, width: int) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
        masks = [
            mask_of(_outline(annotation), entry.height, entry.width, height, width)
            for annotation in entry.annotations
        ]
        ids = np.zeros((height, width), dtype=np.uint16)
        for index in sorted(range(len(masks)), key=lambda index: -int(masks[index].sum())):
            ids[masks[index]] = index + 1
        return ids, tuple(self._label_of[annotation["category_id"]] for annotation in entry.annotations)


def open_folders(paths: Iterable[str], names: Iterable[tuple[str, str]]) -> tuple[CocoFolder, ...]:
    """Open several folders; see ``CocoFolder.open``, which looks at the header of every picture."""
    return tuple(CocoFolder.open(Path(path), dict(names)) for path in paths)


def _draw(name: str) -> float:
    """Draw a number from 0 to 1, always the same for a name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32


def _outline(annotation: Mapping[str, Any]) -> Any:
    """The segmentation; of an object that was drawn as a rectangle, its box as a polygon."""
    if segmentation := annotation.get("segmentation"):
        return segmentation
    try:
        x, y, width, height = map(float, annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        return segmentation
    if not (width > 0 and height > 0):
        return segmentation
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def _category_names(file: Path, content: dict[str, Any]) -> dict[int, str]:
    try:
        return dict(sorted((int(one["id"]), str(one["name"])) for one in content["categories"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CocoError(
            f"A category in {file} lacks its id or name: {error!r}.", next_step="export it anew."
        ) from error


def _entries(file: Path, content: dict[str, Any]) -> dict[Any, _Entry]:
    base = file.parent.parent if file.parent.name == "annotations" else file.parent
    entries: dict[Any, _Entry] = {}
    names: dict[Path, str] = {}
    for number, image in enumerate(content["images"]):
        try:
            key, name, size = (
                image["id"],
                str(image["file_name"]),
                (int(image["width"]), int(image["height"])),
            )
            known = key in entries
        except (KeyError, TypeError, ValueError) as error:
            raise CocoError(
                f"Image {number} in {file} lacks a field: {error!r}.", next_step="export it anew."
            ) from error
        path = find_picture(file, base, name)
        if known:
            raise CocoError(f"Two images in {file} have the id {key!r}.", next_step="export it anew.")
        if path in names:
            raise CocoError(
                f"{names[path]} and {name} in {file} are both {path}.",
                next_step="keep the folders of the export, or give pictures different names.",
            )
        if (shown := upright_size(path)) != size:
            raise CocoError(
                f"{path} is {shown[0]} x {shown[1]} pixels, but {file.name} says {size[0]} x {size[1]}.",
                cause="the picture was replaced after it was annotated, or its orientation tag was ignored there.",
                next_step="put the annotated picture back, or annotate this one.",
            )
        names[path] = name
        entries[key] = _Entry(path, height=size[1], width=size[0])
    return entries


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
        mask_of(_outline(annotation), entry.height, entry.width, 1, 1)
    except ValueError as error:
        raise CocoError(
            f"{place} has no usable segmentation: {error}.",
            cause="it is a tag without an outline, or was edited by hand.",
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
