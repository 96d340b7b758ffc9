"""Choosing where the network runs, and saying plainly why somewhere is not possible."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kkg_area_detection.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_VALID_NAMES = '"cpu", "cuda", "cuda:0", "cuda:1", ..., "mps"'

logger = logging.getLogger(__name__)


def resolve_device(device: str | torch.device | None) -> torch.device:
    """Turn what a caller asked for into a device that works on this machine.

    Args:
        device: ``"cpu"``, ``"cuda"`` (the current GPU), ``"cuda:1"`` (the second one), ``"mps"`` (Apple), a
            ``torch.device`` of one of these, or None for the best that works: cuda, then mps, then cpu.

    Returns:
        The device.

    Raises:
        DeviceError: The name is unknown, or the device is not usable here; the message says why.
    """
    kind, index = parse_device(device)
    if kind is None:
        return _best_device()
    if kind == "cuda":
        return _cuda_device(index)
    import torch

    if kind == "mps":
        _require_mps()
    return torch.device(kind)


def parse_device(device: str | torch.device | None) -> tuple[str | None, int | None]:
    """Check the name of a device, without the seconds that importing torch takes.

    Returns:
        Its kind and its number, None where they are not given.

    Raises:
        DeviceError: There is no device of that name on any machine.
    """
    if device is None:
        return None, None
    match = re.fullmatch(r"(cpu|cuda|mps)(?::(\d+))?", str(device).strip().lower())
    if match is None or (match[1] != "cuda" and int(match[2] or 0) > 0):
        raise DeviceError(f"There is no device {str(device)!r}.", next_step=f"use one of {_VALID_NAMES}.")
    return match[1], None if match[2] is None else int(match[2])


@contextmanager
def explained_out_of_memory(device: torch.device, occasion: str) -> Iterator[None]:
    """Turn torch's out-of-memory error inside the block into one that says what to do.

    Args:
        device: Where the work happens.
        occasion: What was being done, to follow "ran out of memory".

    Raises:
        DeviceError: The device's memory was not enough.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{device} ran out of memory {occasion}.",
            cause="other programs or models hold memory of it too, or it is too small for this model.",
            next_step='end what else uses the device (nvidia-smi lists it), or use device="cpu".',
        ) from error


def _best_device() -> torch.device:
    import torch

    if _why_cuda_is_unavailable() is None:
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    logger.info("No GPU is usable; the model runs on the CPU.")
    return torch.device("cpu")


def _cuda_device(index: int | None) -> torch.device:
    import torch

    reason = _why_cuda_is_unavailable()
    if reason is not None:
        raise reason
    count = torch.cuda.device_count()
    if index is not None and index >= count:
        raise DeviceError(
            f"cuda:{index} does not exist: PyTorch sees {count} GPU(s), counted from 0.",
            cause="the machine has fewer GPUs, or CUDA_VISIBLE_DEVICES hides some.",
            next_step=f'use device="cuda:{count - 1}" or lower.',
        )
    return torch.device("cuda") if index is None else torch.device("cuda", index)


def _why_cuda_is_unavailable() -> DeviceError | None:
    """Find out what stands between PyTorch and a GPU; None where nothing does."""
    import torch

    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return DeviceError(
            "CUDA cannot be used.",
            cause=f"this PyTorch ({torch.__version__}) was built without CUDA.",
            next_step='install a CUDA build (https://pytorch.org/get-started/locally), or use device="cpu".',
        )
    # PyTorch explains a driver that is too old in a warning and nowhere else.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available() and torch.cuda.device_count() > 0
    if usable:
        return None
    explanations = [str(warning.message).split(" (Triggered internally")[0] for warning in caught]
    return DeviceError(
        "CUDA cannot be used: PyTorch finds no working GPU.",
        cause=" ".join(explanations)
        or "there is no NVIDIA GPU, its driver is not installed, or CUDA_VISIBLE_DEVICES hides it.",
        next_step='run nvidia-smi: it must list the GPU. Until then use device="cpu".',
    )


def _require_mps() -> None:
    import torch

    if torch.backends.mps.is_available():
        return
    if torch.backends.mps.is_built():
        cause = "this Mac has no Apple GPU that PyTorch supports, or its macOS is older than 14."
    else:
        cause = f"this PyTorch ({torch.__version__}) was built without MPS; only builds for macOS have it."
    raise DeviceError("mps cannot be used.", cause=cause, next_step='use device="cpu".')
