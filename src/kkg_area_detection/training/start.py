"""``train``: begin a run in a folder, or go on with the one that is there."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kkg_area_detection.errors import UsageError
from kkg_area_detection.model_directory import check_model_directory
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.segmentation.device import resolve_device
from kkg_area_detection.training.coco import CocoFolder
from kkg_area_detection.training.config import TrainConfig, growing_stages
from kkg_area_detection.training.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from kkg_area_detection.progress import LiveProgress
    from kkg_area_detection.training.loop import RunResult

logger = logging.getLogger(__name__)

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
    config = _continued(files, wishes) if files.begun else _begun(files, wishes, place)
    return run(config, files, place, progress or SilentProgress(), stop)


def _continued(files: RunFolder, wishes: Wishes) -> TrainConfig:
    stored = TrainConfig.load(files.config)
    given = dict(wishes.fields)
    if given.get("precision") == "auto":
        del given["precision"]
    wanted = replace(stored, **given)
    if wishes.size is not None or wishes.batch is not None:
        last = stored.stages[-1]
        stages = growing_stages(wishes.size or last.size, wishes.batch or last.batch)
        wanted = replace(wanted, stages=stages)
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


def _begun(files: RunFolder, wishes: Wishes, place: torch.device) -> TrainConfig:
    from kkg_area_detection.training.data import StepImages
    from kkg_area_detection.training.estimate import images_in
    from kkg_area_detection.training.trainer import resolve_precision

    config = replace(_new_config(wishes), precision="auto")
    config = replace(config, precision=resolve_precision(dict(wishes.fields).get("precision", "auto"), place))
    StepImages(config)  # what is wrong with the data or the model should not leave a run behind
    if config.start is not None:
        check_model_directory(Path(config.start))
    if wishes.hours is not None:
        config = replace(config, images=images_in(wishes.hours, config, place))
        logger.info("%g hours are enough for about %d images here.", wishes.hours, config.images)
    config = replace(config, validation_every=min(config.validation_every, max(1, config.images // 10)))
    files.begin(config)
    return config


def _new_config(wishes: Wishes) -> TrainConfig:
    given = dict(wishes.fields)
    stages = growing_stages(wishes.size or TrainConfig().size, wishes.batch or TrainConfig().stages[-1].batch)
    if wishes.hours is not None and "images" in given:
        raise UsageError("Both a number of images and hours were given.", next_step="pass one of the two.")
    if wishes.hours is not None and not 0 < wishes.hours < 10_000:
        raise UsageError(f"A run cannot take {wishes.hours} hours.", next_step="pass a number above 0.")
    given = {"stages": stages} | given
    if given.get("data") and "labels" not in given:
        given["labels"] = _labels_of(given["data"], dict(given.get("category_labels", ())))
    return TrainConfig(**given)


def _labels_of(data: tuple[str, ...], names: dict[str, str]) -> tuple[str, ...]:
    """Those of the annotated drawings: what they do not tell apart, plans must not either."""
    labels = (label for path in data for label in CocoFolder.open(Path(path), names).labels)
    return tuple(dict.fromkeys(labels))
