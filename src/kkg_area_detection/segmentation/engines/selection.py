"""Which engine runs a model, and in what precision."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    from kkg_area_detection.segmentation.engines import Engine

logger = logging.getLogger(__name__)

EngineName: TypeAlias = Literal["auto", "native", "openvino", "reference"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class EngineChoice:
    """What a caller asked for.

    Attributes:
        engine: ``"native"`` (our own network), ``"openvino"`` (the same, converted; CPU only), ``"reference"``
            (transformers), or ``"auto"``: native, and reference for a model that native does not know.
        precision: Of the matrix products; ``"auto"`` is float32 on a CPU and float16 on a GPU.
    """

    engine: EngineName = "auto"
    precision: Precision = "auto"

    @classmethod
    def parse(cls, engine: str | None, precision: str | None) -> EngineChoice:
        """Check names; None means ``"auto"``.

        Raises:
            UsageError: There is no such engine or precision, or they do not go together.
        """
        engine = _one_of("engine", engine, get_args(EngineName))
        precision = _one_of("precision", precision, get_args(Precision))
        if engine == "reference" and precision not in ("auto", "float32"):
            raise UsageError(
                f"The reference engine does not run in {precision}.",
                cause="it is there to compare with, and transformers' numbers are those of float32.",
                next_step='leave precision out, or use engine="native".',
            )
        return cls(cast("EngineName", engine), cast("Precision", precision))


def load_engine(
    directory: Path, device: torch.device, choice: EngineChoice, cache_directory: Callable[[], Path] | None
) -> Engine:
    """Load a model into the engine that was asked for, or into the best one that can run it.

    Args:
        directory: A model directory.
        device: Where to run.
        choice: What was asked for.
        cache_directory: Says where an engine may keep what it derives from a model; None: nowhere.

    Returns:
        The engine.

    Raises:
        ModelNotFoundError: There is no such directory.
        InvalidModelError: It does not hold a complete, sound Mask2Former model.
        UsageError: The engine that was asked for cannot run this model, or not on this device.
        MissingDependencyError: The engine that was asked for is not installed.
        DeviceError: The model does not fit into the device's memory.
    """
    from kkg_area_detection.model_directory import check_model_directory
    from kkg_area_detection.segmentation.engines.native import NativeEngine
    from kkg_area_detection.segmentation.network.config import UnknownNetworkError

    check_model_directory(directory)
    if choice.engine == "reference":
        return _reference(directory, device)
    dtype = _dtype(choice.precision, device)
    try:
        if choice.engine == "openvino":
            from kkg_area_detection.segmentation.engines.openvino import OpenVinoEngine

            kept_in = None if cache_directory is None else cache_directory()
            return OpenVinoEngine.load(directory, device, dtype, kept_in)
        return NativeEngine.load(directory, device, dtype)
    except UnknownNetworkError as error:
        if choice.engine != "auto":
            raise UsageError(
                f"The {choice.engine} engine cannot run the model in {directory}: {error}.",
                next_step='use engine="auto" or "reference", which leave such models to transformers.',
            ) from error
        logger.info(
            "The native engine does not know this model (%s); transformers runs it in float32.", error
        )
        return _reference(directory, device)


def _reference(directory: Path, device: torch.device) -> Engine:
    from kkg_area_detection.segmentation.engines.reference import ReferenceEngine

    return ReferenceEngine.load(directory, device)


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    import torch

    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return cast("torch.dtype", getattr(torch, precision))


def _one_of(what: str, name: str | None, known: tuple[str, ...]) -> str:
    name = (name or "auto").strip().lower()
    if name not in known:
        remark = "; KKG_ENGINE is used where a call names none" if what == "engine" else ""
        raise UsageError(f"There is no {what} {name!r}.", next_step=f"use one of {', '.join(known)}{remark}.")
    return name
