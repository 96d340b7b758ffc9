"""Checkpoints: everything that the next step needs, in one file that is whole at any time.

The file is safetensors, as pickles are never loaded; the numbers of the run are in its header. It is written beside
the old one, brought to the disk, and renamed over it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kkg_area_detection.errors import InvalidModelError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def save_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, numbers: dict[str, Any]
) -> None:
    """Write a checkpoint.

    Args:
        path: Where to.
        modules: By names without dots; all their parameters and buffers are kept.
        optimizer: Its state is kept by the order of its parameters.
        numbers: What else there is, as JSON takes it.
    """
    tensors = {
        f"{owner}.{name}": tensor
        for owner, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    unshared = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.new")
    save_file(unshared, temporary, metadata={"numbers": json.dumps(numbers)})
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Read what ``save_checkpoint`` wrote into modules and an optimizer of the same kind.

    Returns:
        The numbers.

    Raises:
        InvalidModelError: The file is damaged, or is of another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            numbers: dict[str, Any] = json.loads(file.metadata()["numbers"])
            # Copies: Windows replaces no file that is mapped, and the next checkpoint replaces this one.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        state: dict[int, dict[str, torch.Tensor]] = {}
        parts: dict[str, dict[str, torch.Tensor]] = {owner: {} for owner in modules}
        for name, tensor in tensors.items():
            owner, _, rest = name.partition(".")
            if owner == "optimizer":
                index, _, kind = rest.partition(".")
                state.setdefault(int(index), {})[kind] = tensor
            else:
                parts[owner][rest] = tensor
        for owner, module in modules.items():
            module.load_state_dict(parts[owner])
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        _lay_out_as_parameters(optimizer)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidModelError(
            f"The checkpoint {path} cannot be used: {error}.",
            cause="it is damaged, or was written by another version for another network.",
            next_step="train into a new folder; --from takes the model that this run has exported.",
        ) from error
    return numbers


def _lay_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give the state of a channels-last parameter its strides: fused optimizers go through both as they lie."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
