"""``TrainConfig``: everything that decides what a run computes. Two runs of one config give one curve."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kkg_area_detection.errors import InvalidModelError, UsageError
from kkg_area_detection.training.architecture import PRESETS
from kkg_area_detection.training.matching import LossWeights
from kkg_area_detection.training.samples import LABELS

if TYPE_CHECKING:
    from pathlib import Path

_CELL = 32  # sides of the network's input are multiples of this
_MOST_PIXELS = 4096


class Stage(NamedTuple):
    """A part of a run.

    Attributes:
        size: Longest edge of the network's input, in pixels.
        batch: Pictures of a step.
        share: Of the run's images, 0 to 1.
    """

    size: int
    batch: int
    share: float


def growing_stages(size: int, batch: int) -> tuple[Stage, ...]:
    """Small pictures first: what rooms and walls are is learned at a quarter of the cost.

    Args:
        size: Of the last stage, in pixels.
        batch: Pictures of a step. Where the number of images is what costs, small batches learn most from them.
    """
    half, middle = (max(_CELL * 2, round(size * part / _CELL) * _CELL) for part in (0.5, 0.75))
    return (Stage(half, batch, 0.5), Stage(middle, batch, 0.25), Stage(size, batch, 0.25))


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    Attributes:
        images: Length of the run, in images shown.
        stages: Sizes and batches, one after the other.
        labels: Class names, in the order of class numbers.
        preset: Architecture of a model from scratch.
        start: Directory of the model to go on from, or None for one from scratch.
        data: COCO folders; none means generated plans alone.
        mix: Share of the images that come from the COCO folders, where there are some; the others are generated.
        category_labels: Pairs of a category's name in the COCO folders and the label it stands for. Categories
            without one stand for the label of the same name.
        seed: Of everything random.
        learning_rate: At its highest, for AdamW and a batch of 8; it grows with the root of the batch.
        backbone_rate: Relative to that, for the backbone of a model that has been trained before.
        warm_up_images: During which the learning rate grows from nothing.
        final_rate: Learning rate at the end, relative to the highest; in between it follows a cosine.
        weight_decay: Of AdamW; norms, biases and embeddings have none.
        clip_norm: Largest norm of a step's gradient.
        ema_images: The exported weights are a running mean over about so many images.
        loss: Weights of the loss.
        cells_drawn: Cells of a picture that the matching looks at.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``, of the matrix products.
        validation_images: Held-out images that a validation looks at.
        validation_every: Images between two validations.
        workers: Processes that prepare images. They change nothing but the speed.
        checkpoint_minutes: Between two checkpoints. Changes nothing either.
    """

    images: int = 100_000
    stages: tuple[Stage, ...] = growing_stages(512, 4)
    labels: tuple[str, ...] = LABELS
    preset: str = "small"
    start: str | None = None
    data: tuple[str, ...] = ()
    mix: float = 0.5
    category_labels: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    learning_rate: float = 8e-4
    backbone_rate: float = 0.1
    warm_up_images: int = 1000
    final_rate: float = 0.01
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    ema_images: int = 4000
    loss: LossWeights = field(default_factory=LossWeights)
    cells_drawn: int = 1024
    precision: str = "auto"
    validation_images: int = 48
    validation_every: int = 5000
    workers: int = 1
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        for wrong, what, next_step in self._mistakes():
            if wrong:
                raise UsageError(what, next_step=next_step)

    def _mistakes(self) -> list[tuple[bool, str, str]]:
        sizes = [
            stage.size
            for stage in self.stages
            if stage.size % _CELL or not 2 * _CELL <= stage.size <= _MOST_PIXELS
        ]
        return [
            (self.images < 1, f"A run of {self.images} images trains nothing.", "pass a larger number."),
            (
                bool(sizes),
                f"The network cannot be trained at {', '.join(map(str, sizes))} pixels.",
                f"pass multiples of {_CELL} from {2 * _CELL} to {_MOST_PIXELS}.",
            ),
            (
                any(stage.batch < 1 for stage in self.stages),
                "A step needs at least one picture.",
                "pass a batch size of 1 or more.",
            ),
            (self.seed < 0, f"The seed is {self.seed}.", "pass 0 or a larger number."),
            (not 0 <= self.mix <= 1, f"mix is {self.mix}.", "pass a share from 0 to 1."),
            (
                not self.labels or "" in self.labels or len(set(self.labels)) != len(self.labels),
                f"The labels are {list(self.labels)}.",
                "pass at least one, each of them once, and none that is empty.",
            ),
            (
                self.precision not in ("auto", "float32", "bfloat16", "float16"),
                f"precision is {self.precision!r}.",
                "use auto, float32, bfloat16 or float16.",
            ),
            (
                self.preset not in PRESETS,
                f"There is no preset {self.preset!r}.",
                f"use one of {', '.join(PRESETS)}.",
            ),
            (self.workers < 0, f"workers is {self.workers}.", "pass 0 or more."),
            (
                not 0 < self.learning_rate < 1,
                f"The learning rate is {self.learning_rate}.",
                "pass a small number above 0, such as 6e-4.",
            ),
        ]

    @property
    def size(self) -> int:
        """Longest edge that the finished model sees, in pixels."""
        return self.stages[-1].size

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """Read what ``save`` wrote. Fields that were unknown then have their defaults.

        Raises:
            InvalidModelError: The file is malformed.
        """
        try:
            fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
            fields["stages"] = tuple(Stage(**_named(Stage, stage)) for stage in fields["stages"])
            fields["loss"] = LossWeights(**fields["loss"])
            fields["category_labels"] = tuple((name, label) for name, label in fields["category_labels"])
            return cls(**fields | {name: tuple(fields[name]) for name in ("labels", "data")})
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidModelError(
                f"{path} is not the configuration of a run: {error!r}.",
                cause="it was edited, or written by another version.",
                next_step="train into a new folder.",
            ) from error


def _named(kind: type[Stage], values: Any) -> dict[str, Any]:
    return dict(zip(kind._fields, values, strict=True)) if isinstance(values, list) else dict(values)
