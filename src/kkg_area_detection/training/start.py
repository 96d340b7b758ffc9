"""``train``: begin a run in a folder, or go on with the one that is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.errors import UsageError
from kkg_area_detection.model_directory import check_model_directory
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.segmentation.device import resolve_device
from kkg_area_detection.training.coco import CocoFolder, open_folders
from kkg_area_detection.training.config import Stage, TrainConfig, growing_stages
from kkg_area_detection.training.run_folder import RunFolder
from kkg_area_detection.training.samples import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from kkg_area_detection.progress import LiveProgress
    from kkg_area_detection.training.loop import RunResult

logger = logging.getLogger(__name__)

_FINE_TUNING_RATE = 2e-4
_SAME_CURVE = ("workers", "checkpoint_minutes")  # fields that may change on the way


@dataclass(frozen=True)
class Wishes:
    """What a caller says about a run; None leaves it to the default, or to the run that is there.

    Attributes:
        hours: Length of the run; how many images that are is measured once, when the run begins.
        size: Longest edge that the finished model sees, in pixels.
        batch: Pictures of a step.
        fields: Of ``TrainConfig``, those that were given.
    """

    hours: float | None = None
    size: int | None = None
    batch: int | None = None
    fields: tuple[tuple[str, Any], ...] = ()


def train(
    folder: str | Path,
    wishes: Wishes,
    *,
    device: str | None = None,
    progress: LiveProgress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Train a model into a run folder; where it holds a run already, go on with it.

    Args:
        folder: New, empty, or of a run.
        wishes: What is asked for. With a run that is there, they must not differ from it.
        device: ``cuda``, ``mps``, ``cpu``; None for the best one.
        progress: Told of every step; None for silence.
        stop: Asked after every step; True ends the run after a checkpoint.

    Returns:
        How it ended.

    Raises:
        KkgAreaDetectionError: Something cannot be used; the message says what.
    """
    from kkg_area_detection.training.loop import run

    place = resolve_device(device)
    files = RunFolder(Path(folder))
    if files.begun:
        config = _continued(files, wishes)
        folders = open_folders(config.data, config.category_labels)
    else:
        given = dict(wishes.fields)
        folders = open_folders(given.get("data", ()), given.get("category_labels", ()))
        config = _begun(files, wishes, place, folders)
    return run(config, files, place, progress or SilentProgress(), stop, folders=folders)


def _continued(files: RunFolder, wishes: Wishes) -> TrainConfig:
    stored = TrainConfig.load(files.config)
    given = dict(wishes.fields)
    if given.get("precision") == "auto":
        del given["precision"]
    wanted = replace(stored, **given)
    if wishes.size is not None or wishes.batch is not None:
        wanted = replace(wanted, stages=_stages(wishes, stored.stages[-1]))
    for one in fields(TrainConfig):
        old, new = getattr(stored, one.name), getattr(wanted, one.name)
        if old != new and one.name not in _SAME_CURVE:
            raise UsageError(
                f"The run in {files.path} has other options: {one.name} is {old!r}, not {new!r}.",
                cause="a run goes on as it began, or its curve would mean nothing.",
                next_step="leave the option out to go on with it, or train into a new folder.",
            )
    logger.info("Going on with the run in %s.", files.path)
    return wanted


def _begun(
    files: RunFolder, wishes: Wishes, place: torch.device, folders: tuple[CocoFolder, ...]
) -> TrainConfig:
    from kkg_area_detection.training.estimate import images_in
    from kkg_area_detection.training.trainer import resolve_precision

    config = replace(_new_config(wishes, folders), precision="auto")
    config = replace(config, precision=resolve_precision(dict(wishes.fields).get("precision", "auto"), place))
    _check_labels(config, folders)
    if config.start is not None:
        check_model_directory(Path(config.start))
    if wishes.hours is not None:
        config = replace(config, images=images_in(wishes.hours, config, place, folders))
        logger.info("%g hours are enough for about %d images here.", wishes.hours, config.images)
    config = replace(config, validation_every=min(config.validation_every, max(1, config.images // 10)))
    files.begin(config)
    return config


def _new_config(wishes: Wishes, folders: tuple[CocoFolder, ...]) -> TrainConfig:
    given = dict(wishes.fields)
    if wishes.hours is not None and "images" in given:
        raise UsageError("Both a number of images and hours were given.", next_step="pass one of the two.")
    if wishes.hours is not None and not 0 < wishes.hours < 10_000:
        raise UsageError(f"A run cannot take {wishes.hours} hours.", next_step="pass a number above 0.")
    given = {"stages": _stages(wishes, TrainConfig().stages[-1])} | given
    if "start" in given:
        given = {"learning_rate": _FINE_TUNING_RATE} | given
    if folders and "labels" not in given:  # what drawings do not tell apart, plans must not either
        given["labels"] = tuple(dict.fromkeys(label for folder in folders for label in folder.labels))
    return TrainConfig(**given)


def _stages(wishes: Wishes, last: Stage) -> tuple[Stage, ...]:
    return growing_stages(
        last.size if wishes.size is None else wishes.size,
        last.batch if wishes.batch is None else wishes.batch,
    )


def _check_labels(config: TrainConfig, folders: tuple[CocoFolder, ...]) -> None:
    """A label that nothing shows would be trained to the end, and never found."""
    for name, _ in config.category_labels:
        if not any(name in folder.categories for folder in folders):
            known = sorted({category for folder in folders for category in folder.categories})
            raise UsageError(
                f"No data has a category {name!r}.", next_step=f"use one of {', '.join(known) or 'none'}."
            )
    shown = {label for folder in folders for label in folder.labels}
    if not folders or config.mix < 1:
        shown |= set(LABELS)
    for label in config.labels:
        if not {label, kind_of(label)} & shown:
            raise UsageError(
                f"There is nothing to learn {label!r} from.",
                next_step=f"use labels of {', '.join(sorted(shown))}, or annotate some.",
            )
