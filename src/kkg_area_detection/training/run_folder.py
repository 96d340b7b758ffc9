"""A run's folder: what was asked for, how it went, and what came out.

``config.json``, ``metrics.jsonl`` (a line every few steps), ``curves.png``, ``samples.png``,
``checkpoint.safetensors`` and ``model/``, the directory for ``initialize_model``.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kkg_area_detection.errors import UsageError
from kkg_area_detection.model_directory import CONFIG_NAME, PROCESSOR_NAME
from kkg_area_detection.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The ``TrainConfig``."""
        return self.path / "config.json"

    @property
    def checkpoint(self) -> Path:
        """Of ``checkpointing``."""
        return self.path / "checkpoint.safetensors"

    @property
    def metrics(self) -> Path:
        """JSON lines."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The finished model, or the latest one of a run that goes on."""
        return self.path / "model"

    @property
    def start(self) -> Path:
        """The network and the pixels of the model that the run began with: its directory, but for the weights."""
        return self.path / "start"

    @property
    def begun(self) -> bool:
        """Whether there is a run in the folder."""
        return self.config.is_file()

    def begin(self, config: TrainConfig) -> None:
        """Make the folder for a new run.

        Raises:
            UsageError: Something else is in it, or it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            strangers = sorted(path.name for path in self.path.iterdir())
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be used: {error}.", next_step="pass another folder."
            ) from error
        if strangers:
            raise UsageError(
                f"{self.path} holds no run, but other things ({strangers[0]}).",
                next_step="pass a new folder.",
            )
        if config.start is not None:
            self.start.mkdir()
            for path in (Path(config.start) / name for name in (CONFIG_NAME, PROCESSOR_NAME)):
                if path.exists():
                    shutil.copyfile(path, self.start / path.name)
        config.save(self.config)

    def append(self, line: dict[str, Any]) -> None:
        """Add a line to the metrics."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """Read the metrics; a line that a kill cut short is left out."""
        if not self.metrics.exists():
            return []
        found = []
        for line in self.metrics.read_text("utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def forget_after(self, step: int) -> None:
        """Remove the metrics of steps that a resumed run does again: those from ``step`` on."""
        kept = [line for line in self.lines() if line["step"] <= step]
        temporary = self.metrics.with_name(f".{self.metrics.name}.new")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
        temporary.replace(self.metrics)


def draw_curves(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the losses and the validations of a run over the images seen.

    Args:
        lines: Of the metrics.
        path: PNG to write.
    """
    from matplotlib.figure import Figure  # no pyplot: it would choose a window system

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    losses, quality = figure.subplots(1, 2)
    steps = [line for line in lines if "loss" in line]
    for name in ("loss", "classes", "mask", "dice", "pixels"):
        losses.plot(
            [line["images"] for line in steps], [line[name] for line in steps], label=name, linewidth=1
        )
    losses.set(xlabel="images", ylabel="loss", yscale="log")
    checks = [line for line in lines if "pq" in line]
    for label in checks[-1]["pq"] if checks else ():
        values = [line["pq"].get(label) for line in checks]
        shown = [float("nan") if value is None else value for value in values]
        quality.plot([line["images"] for line in checks], shown, label=f"PQ {label}", marker=".")
    quality.set(xlabel="images", ylabel="held-out drawings", ylim=(0, 1))
    for axes in (losses, quality):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
