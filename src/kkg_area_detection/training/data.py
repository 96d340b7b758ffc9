"""The images of a run: image i depends on the seed and on i alone.

So it makes no difference how many processes prepare images, nor whether a run was interrupted.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.errors import KkgAreaDetectionError
from kkg_area_detection.training.augmentation import fitted, view
from kkg_area_detection.training.coco import CocoFolder, open_folders
from kkg_area_detection.training.schedule import Schedule
from kkg_area_detection.training.targets import Targets, targets_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kkg_area_detection.training.config import TrainConfig
    from kkg_area_detection.training.samples import Sample

FIRST_TRAINING_SEED = 1_000_000_000
"""Plans of smaller seeds are never trained on: they are for validation and evaluation."""

_VALIDATION_SEED = 900_000_000
_BATCHES_AHEAD = 6
_FRAME_STREAM, _IMAGE_STREAM = 1, 2  # of random numbers


class Batch(NamedTuple):
    """What a step sees.

    Attributes:
        images: uint8, shape (B, h, w, 3), RGB.
        classes: One int64 tensor of shape (n,) an image.
        counts: One uint8 tensor of shape (n, h / 4, w / 4) an image; see ``Targets.coverage``.
    """

    images: torch.Tensor
    classes: list[torch.Tensor]
    counts: list[torch.Tensor]

    @classmethod
    def of(cls, images: list[np.ndarray], targets: list[Targets]) -> Batch:
        """Put images of one size together."""
        return cls(
            torch.from_numpy(np.stack(images)),
            [torch.from_numpy(one.classes) for one in targets],
            [torch.from_numpy(one.coverage) for one in targets],
        )


class Source(Protocol):
    """Where drawings come from."""

    def training(self, number: int, size: int, rng: np.random.Generator) -> Sample:
        """One for training, about ``size`` pixels large; ``number`` is that of the image within the run."""
        ...

    def held_out(self, size: int, most: int) -> Iterator[Sample]:
        """Those that are never trained on, at most ``most``."""
        ...


@dataclass(frozen=True)
class PlanSource:
    """Generated plans.

    Attributes:
        seed: Of the run.
    """

    seed: int

    def training(self, number: int, size: int, rng: np.random.Generator) -> Sample:
        """See ``Source``."""
        from kkg_area_detection.training.plans import generate_plan

        del rng
        plan: Sample = generate_plan(FIRST_TRAINING_SEED * (1 + self.seed) + number, size)
        return plan

    def held_out(self, size: int, most: int) -> Iterator[Sample]:
        """See ``Source``."""
        from kkg_area_detection.training.plans import generate_plan

        return (generate_plan(_VALIDATION_SEED + number, size) for number in range(most))


@dataclass(frozen=True)
class CocoSource:
    """Drawings of COCO folders; every tenth or so is held out, by its name.

    Attributes:
        folders: At least one.
    """

    folders: tuple[CocoFolder, ...]

    def training(self, number: int, size: int, rng: np.random.Generator) -> Sample:
        """See ``Source``."""
        del number
        place = int(rng.integers(sum(len(folder.training) for folder in self.folders)))
        for folder in self.folders:
            if place < len(folder.training):
                return folder.read(folder.training[place], most_pixels=2 * size)
            place -= len(folder.training)
        raise AssertionError("unreachable")

    def held_out(self, size: int, most: int) -> Iterator[Sample]:
        """See ``Source``."""
        places = [(folder, index) for folder in self.folders for index in folder.held_out]
        return (folder.read(index, most_pixels=2 * size) for folder, index in places[:most])


class StepImages(Dataset[Batch]):
    """The batch of every step.

    Args:
        config: Of the run.
        folders: Its annotated drawings, where they are open already.

    Raises:
        KkgAreaDetectionError: A COCO folder is not what it should be.
    """

    def __init__(self, config: TrainConfig, folders: tuple[CocoFolder, ...] | None = None) -> None:
        self._config = config
        self._schedule = Schedule(config)
        # Plans say "room" where a model may say "部屋".
        named = {label: number for number, label in enumerate(config.labels)}
        self._class_of = {kind_of(label) or label: number for label, number in named.items()} | named
        if folders is None:
            folders = open_folders(config.data, config.category_labels)
        self._sources = _sources(config, folders)

    def __getitem__(self, number: int) -> Batch:
        step = self._schedule.step(number)
        height, width = self._frame(number, step.stage.size)
        samples = [self._sample(image, height, width) for image in step.images]
        return Batch.of(
            [sample.image for sample in samples], [targets_of(sample, self._class_of) for sample in samples]
        )

    def _frame(self, number: int, size: int) -> tuple[int, int]:
        """Half of all batches are square; the others are of any proportions down to 1 : 2."""
        rng = np.random.default_rng((self._config.seed, _FRAME_STREAM, number))
        short = size if rng.random() < 0.5 else int(rng.integers(size // 64, size // 32 + 1)) * 32
        return (short, size) if rng.random() < 0.5 else (size, short)

    def _sample(self, image: int, height: int, width: int) -> Sample:
        rng = np.random.default_rng((self._config.seed, _IMAGE_STREAM, image))
        drawn = rng.random()
        source = next(source for source, until in self._sources if drawn < until)
        return view(source.training(image, max(height, width), rng), height, width, rng)

    def held_out(self) -> list[tuple[Sample, Targets]]:
        """Prepare the images of a validation, as the finished model will see them."""
        most, size, begin = self._config.validation_images, self._config.size, 0.0
        samples: list[Sample] = []
        for source, until in self._sources:
            held_out = source.held_out(size, round(most * (until - begin)))
            samples += [fitted(sample, size) for sample in held_out]
            begin = until
        return [(sample, targets_of(sample, self._class_of)) for sample in samples]


def _sources(config: TrainConfig, folders: tuple[CocoFolder, ...]) -> list[tuple[Source, float]]:
    """Sources, each with the end of its part of the numbers from 0 to 1."""
    plans = PlanSource(config.seed)
    if not folders:
        return [(plans, 1.0)]
    return [(CocoSource(folders), config.mix), *([(plans, 1.0)] if config.mix < 1 else [])]


def batches(images: StepImages, first: int, end: int, workers: int) -> Generator[Batch]:
    """Prepare the batches of steps ``first`` to ``end`` - 1 ahead of their use; ``close`` ends the processes.

    Args:
        images: Of the run.
        first: Number of a step.
        end: Number of a step.
        workers: Processes; with 0, batches are prepared when they are asked for.

    Raises:
        KkgAreaDetectionError: A drawing cannot be read.
    """
    loader: DataLoader[Batch | KkgAreaDetectionError] = DataLoader(
        _ErrorsAsValues(images),
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        prefetch_factor=_BATCHES_AHEAD if workers else None,
        multiprocessing_context="spawn" if workers else None,  # a fork would inherit torch's threads half
        worker_init_fn=_leave_signals_to_parent,
    )
    prepared = iter(loader)
    try:
        for batch in prepared:
            if isinstance(batch, KkgAreaDetectionError):
                raise batch
            yield batch
    finally:  # workers do not hear SIGTERM: left to themselves, multiprocessing would wait for them at exit
        if workers:
            prepared._shutdown_workers()  # type: ignore[attr-defined]


class _ErrorsAsValues(Dataset["Batch | KkgAreaDetectionError"]):
    """What a worker raises would arrive as the text of a traceback."""

    def __init__(self, images: StepImages) -> None:
        self._images = images

    def __getitem__(self, number: int) -> Batch | KkgAreaDetectionError:
        try:
            return self._images[number]
        except KkgAreaDetectionError as error:
            return error


def _leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C and the end of a service reach all processes; the parent saves first, then ends its workers itself."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
