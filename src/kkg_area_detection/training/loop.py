"""A run from its first step, or from its last checkpoint, to a model directory.

No trainer library is used. Of what they offer, a run needs a loop, mixed precision and checkpoints: fifty lines on
torch's own ``autocast``, ``GradScaler``, ``DataLoader`` and ``AdamW``. What is hard here they do not do: a curve
that a kill does not change (each batch a function of the seed and the step, metrics cut back to the checkpoint),
batches whose size and resolution change on the way, and a checkpoint that is no pickle.
"""

from __future__ import annotations

import logging
import math
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from kkg_area_detection.training.data import StepImages, batches
from kkg_area_detection.training.export import export_model
from kkg_area_detection.training.model import model_like
from kkg_area_detection.training.model_card import model_card
from kkg_area_detection.training.pictures import draw_samples
from kkg_area_detection.training.run_folder import RunFolder, draw_curves
from kkg_area_detection.training.trainer import StepLosses, Trainer
from kkg_area_detection.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kkg_area_detection.progress import LiveProgress
    from kkg_area_detection.training.coco import CocoFolder
    from kkg_area_detection.training.config import TrainConfig

logger = logging.getLogger(__name__)

STEPS_A_LINE = 20
"""Metrics are means over so many steps."""


class RunResult(NamedTuple):
    """How a run ended.

    Attributes:
        finished: False where it was stopped; the same call goes on.
        images: Seen so far.
        model: The model directory; where the run was stopped early there may be none yet.
    """

    finished: bool
    images: int
    model: Path


def run(
    config: TrainConfig,
    folder: RunFolder,
    device: torch.device,
    progress: LiveProgress,
    stop: Callable[[], bool],
    *,
    folders: tuple[CocoFolder, ...] | None = None,
) -> RunResult:
    """Train, going on from the folder's checkpoint where there is one.

    Args:
        config: That of the folder, its precision resolved.
        folder: Of the run; begun.
        device: Where to train. Going on elsewhere is possible, but then the curve is not the same to the last bit.
        progress: Told of every step.
        stop: Asked after every step; True ends the run after a checkpoint.
        folders: The annotated drawings, where they are open already.

    Returns:
        How it ended.

    Raises:
        KkgAreaDetectionError: The data, the model or the checkpoint cannot be used, or the run diverged.
    """
    return _Run(config, folder, device, progress, folders).go(stop)


class _Run:
    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        device: torch.device,
        progress: LiveProgress,
        folders: tuple[CocoFolder, ...] | None,
    ) -> None:
        self._config, self._folder, self._progress = config, folder, progress
        self._images = StepImages(config, folders)
        self._held_out = self._images.held_out()
        goes_on = folder.checkpoint.exists()
        model = model_like(folder.start, config.labels) if goes_on and folder.start.exists() else None
        self._trainer = Trainer(config, device, model)
        self._next = 0
        self._sums = [0.0] * len(StepLosses._fields)
        if goes_on:
            numbers = self._trainer.load(folder.checkpoint)
            self._next, self._sums = numbers["next"], numbers["sums"]
        folder.forget_after(self._next)
        self._lines = folder.lines()

    def go(self, stop: Callable[[], bool]) -> RunResult:
        schedule = self._trainer.schedule
        before = self._seen()
        self._progress.start("Training", schedule.images - before)
        self._began, self._began_at, saved = time.monotonic(), before, time.monotonic()
        prepared = batches(self._images, self._next, schedule.steps, self._config.workers)
        with closing(prepared):
            for batch in prepared:
                step = schedule.step(self._next)
                self._count(self._trainer.step(step, batch))
                self._next += 1
                self._progress.advance(step.stage.batch)
                every = self._config.validation_every
                if self._seen() // every > step.first_image // every:
                    self._look()
                if stop() and self._next < schedule.steps:
                    self._save()
                    return RunResult(False, self._seen(), self._folder.model)
                if time.monotonic() - saved > self._config.checkpoint_minutes * 60:
                    self._save()
                    saved = time.monotonic()
        self._save()
        self._validate()
        return RunResult(True, self._seen(), self._folder.model)

    def _seen(self) -> int:
        return self._trainer.schedule.step(self._next - 1).images.stop if self._next else 0

    def _count(self, losses: StepLosses) -> None:
        """Add up losses; write a line every few steps, always at the same ones."""
        self._sums = [total + loss for total, loss in zip(self._sums, losses, strict=True)]
        number = self._next + 1
        if number % STEPS_A_LINE == 0:
            means = {
                name: value / STEPS_A_LINE for name, value in zip(losses._fields, self._sums, strict=True)
            }
            step = self._trainer.schedule.step(self._next)
            speed = (step.images.stop - self._began_at) / (time.monotonic() - self._began)
            line = {"step": number, "images": step.images.stop, "size": step.stage.size, **means}
            self._write(line | {"images_per_second": round(speed, 3)})
            self._sums = [0.0] * len(self._sums)
            self._progress.describe(f"Training, loss {means['loss']:.2f}")

    def _write(self, line: dict[str, Any]) -> None:
        rounded = {name: _rounded(value) for name, value in line.items()}
        self._folder.append(rounded)
        self._lines.append(rounded)

    def _save(self) -> None:
        self._trainer.save(self._folder.checkpoint, {"next": self._next, "sums": self._sums})

    def _look(self) -> None:
        """Validate on the way. A file that is open elsewhere, which Windows then does not replace, ends no run."""
        try:
            self._validate()
        except OSError as error:
            logger.warning("The latest model and pictures could not be written: %s.", error)

    def _validate(self) -> None:
        """Look at held-out drawings; then renew curves, pictures and the exported model."""
        config, trainer = self._config, self._trainer
        network = trainer.mean.model
        scores, predictions = validate(network, self._held_out, trainer.to_pixels, len(config.labels))
        quality = dict(zip(config.labels, scores, strict=True))
        if not self._lines or self._lines[-1].get("step") != self._next or "pq" not in self._lines[-1]:
            pq, f1 = ({label: _rounded(pair[part]) for label, pair in quality.items()} for part in (0, 1))
            self._write({"step": self._next, "images": self._seen(), "pq": pq, "f1": f1})
        draw_curves(self._lines, self._folder.path / "curves.png")
        draw_samples(self._held_out, predictions, self._folder.path / "samples.png")
        parameters = sum(one.numel() for one in network.parameters())
        card = model_card(config, self._seen(), parameters, len(self._held_out), quality)
        export_model(
            network,
            trainer.model.settings,
            self._folder.model,
            size=config.size,
            dtype=torch.float16,
            card=card,
        )


def _rounded(value: Any) -> Any:
    """Six digits of a float; None, which JSON knows, for what is none."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
