"""One step of training, and the state that steps change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from kkg_area_detection.errors import KkgAreaDetectionError
from kkg_area_detection.training import forward
from kkg_area_detection.training.checkpointing import load_checkpoint, save_checkpoint
from kkg_area_detection.training.ema import RunningMean
from kkg_area_detection.training.losses import BatchTargets, PixelHeads, batch_loss
from kkg_area_detection.training.model import make_model
from kkg_area_detection.training.schedule import Schedule

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from kkg_area_detection.training.config import TrainConfig
    from kkg_area_detection.training.data import Batch
    from kkg_area_detection.training.model import TrainableModel
    from kkg_area_detection.training.schedule import Step

_BETAS = (0.9, 0.99)
_EMBEDDINGS = ("queries_", "level_embed", "position_bias")
_MOST_SKIPPED = 50  # steps in a row without a finite gradient
_SEEDS = 2**31


class TrainingError(KkgAreaDetectionError, RuntimeError):
    """A run cannot go on."""


class StepLosses(NamedTuple):
    """The losses of a step, and the norm of its gradient before clipping."""

    loss: float
    classes: float
    mask: float
    dice: float
    pixels: float
    gradient: float


class Trainer:
    """A model in training.

    Args:
        config: Of the run, its precision resolved.
        device: Where to train.
        model: To train; None makes the one that the config asks for.

    Attributes:
        model: The network and its settings.
        mean: Its running mean.
        schedule: The steps.
    """

    def __init__(
        self, config: TrainConfig, device: torch.device, model: TrainableModel | None = None
    ) -> None:
        self.schedule = Schedule(config)
        self.model = model or make_model(config)
        self._config = config
        self._device = device
        shape: Any = self.model.network
        self._heads = PixelHeads(shape.config.mask_feature_size, len(config.labels)).to(device)
        shape.to(device).train()
        shape.model.pixel_level_module.encoder.to(memory_format=torch.channels_last)
        self.mean = RunningMean(self.model.network, config.ema_images)
        self._optimizer = torch.optim.AdamW(self._groups(), lr=0.0, betas=_BETAS, fused=device.type != "mps")
        self._dtype = getattr(torch, config.precision)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._skipped = 0

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by what they share: weight decay, and how fast they learn."""
        config = self._config
        slow = self.model.backbone_parameters if config.start is not None else set()
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for module in (self.model.network, self._heads):
            for name, parameter in module.named_parameters():
                plain = parameter.ndim <= 1 or any(part in name for part in _EMBEDDINGS)
                decay = 0.0 if plain else config.weight_decay
                rate = config.backbone_rate if parameter in slow else 1.0
                groups.setdefault((decay, rate), []).append(parameter)
        return [
            {"params": parameters, "weight_decay": decay, "rate": rate}
            for (decay, rate), parameters in groups.items()
        ]

    def to_pixels(self, images: torch.Tensor) -> torch.Tensor:
        """Turn uint8 images (B, h, w, 3) into the network's input (B, 3, h, w), float32, on the device."""
        settings = self.model.settings
        values = images.to(self._device, non_blocking=True).float()
        if settings.do_rescale:
            values = values * settings.rescale_factor
        if settings.do_normalize:
            mean = torch.tensor(settings.mean, device=self._device)
            std = torch.tensor(settings.std, device=self._device)
            values = (values - mean) / std
        return values.permute(0, 3, 1, 2)  # channels-last in memory, as they came

    def step(self, step: Step, batch: Batch) -> StepLosses:
        """Learn from a batch.

        Raises:
            TrainingError: Gradients have not been finite for many steps.
        """
        seed = (self._config.seed * 1_000_003 + step.number) % _SEEDS
        torch.manual_seed(
            seed
        )  # for stochastic depth: a step depends on its number alone, also after a resume
        drawing = torch.Generator().manual_seed(seed)
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(step) * group["rate"]
        targets = BatchTargets.of(batch.classes, batch.counts, self._device)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            outputs = forward.run(self.model.network, self.to_pixels(batch.images))
        losses = batch_loss(
            outputs,
            targets,
            self._config.loss,
            self._heads,
            cells_drawn=self._config.cells_drawn,
            generator=drawing,
        )
        gradient = self._descend(losses.total)
        self.mean.update(self.model.network, step.stage.batch, step.images.stop)
        numbers = torch.stack([part.detach().float() for part in losses]).tolist()
        return StepLosses._make([*numbers, gradient])

    def _descend(self, loss: torch.Tensor) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        scaled: Any = self._scaler.scale(loss)
        scaled.backward()
        self._scaler.unscale_(self._optimizer)
        parameters = [one for group in self._optimizer.param_groups for one in group["params"]]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._config.clip_norm))
        if math.isfinite(norm):
            self._scaler.step(self._optimizer)
            self._skipped = 0
        else:
            self._skipped += 1
        self._scaler.update()
        if self._skipped > _MOST_SKIPPED:
            raise TrainingError(
                f"The gradients of {self._skipped} steps in a row were not finite.",
                cause="the learning rate is too high, or the precision too low for this model.",
                next_step="train into a new folder with half the --learning-rate, or with --precision float32.",
            )
        return norm

    def save(self, path: Path, numbers: dict[str, Any]) -> None:
        """Write a checkpoint."""
        scaler = self._scaler.state_dict()
        save_checkpoint(
            path, self._modules(), self._optimizer, numbers | {"scaler": scaler, "skipped": self._skipped}
        )

    def load(self, path: Path) -> dict[str, Any]:
        """Read a checkpoint that ``save`` wrote for the same config.

        Returns:
            The numbers.

        Raises:
            InvalidModelError: It is damaged, or another one's.
        """
        numbers = load_checkpoint(path, self._modules(), self._optimizer)
        self._scaler.load_state_dict(numbers["scaler"])
        self._skipped = numbers["skipped"]
        return numbers

    def _modules(self) -> dict[str, nn.Module]:
        return {"network": self.model.network, "mean": self.mean.model, "heads": self._heads}


def resolve_precision(precision: str, device: torch.device) -> str:
    """Decide what ``auto`` means on a device: bfloat16 where it is fast, else float16 on GPUs, else float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if device.type == "cpu" and torch.cpu._is_amx_tile_supported():
        return "bfloat16"
    return "float32"
