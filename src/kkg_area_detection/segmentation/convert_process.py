"""The process that reads a pickle checkpoint: ``python -m ... OUTPUT.safetensors CHECKPOINT...``.

Started by ``convert``, never imported by it. On failure it writes one JSON object to standard output, ``kind``
(``code``, ``memory``, ``contents`` or ``other``) and ``detail``, and ends with status 1.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
from typing import Any

import torch
from safetensors.torch import save_file

_WRAPPINGS = ("state_dict", "model_state_dict", "model")  # under which trainers put the weights
_PARALLEL_PREFIX = "module."  # DistributedDataParallel puts it before every name


class ContentsError(Exception):
    """What was read is not a state dict."""


def state_dict_of(loaded: Any) -> dict[str, torch.Tensor]:
    """The tensors by name, out of what a checkpoint holds."""
    while isinstance(loaded, dict):
        inner = [loaded[name] for name in _WRAPPINGS if isinstance(loaded.get(name), dict)]
        if not inner:
            break
        loaded = inner[0]
    if not isinstance(loaded, dict):
        raise ContentsError(f"it holds a {type(loaded).__name__}")
    if not loaded:
        raise ContentsError("it is empty")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ContentsError(f"{str(name)[:80]!r} is a {type(value).__name__}, not a tensor")
    if all(name.startswith(_PARALLEL_PREFIX) for name in loaded):
        return {name.removeprefix(_PARALLEL_PREFIX): value for name, value in loaded.items()}
    return dict(loaded)


def separate(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Give every tensor memory of its own, as safetensors demands: tied weights and views are copied."""
    taken: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        own = tensor.detach().contiguous()
        storage = own.untyped_storage()
        if storage.data_ptr() in taken or storage.nbytes() != own.nbytes:
            own = own.clone()
        taken.add(own.untyped_storage().data_ptr())
        result[name] = own
    return result


def convert(output: str, checkpoints: list[str]) -> None:
    """Read the checkpoints and write their tensors into one safetensors file."""
    tensors: dict[str, torch.Tensor] = {}
    for path in checkpoints:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        tensors |= state_dict_of(loaded)
    save_file(separate(tensors), output, metadata={"format": "pt"})


def _main(output: str, *checkpoints: str) -> int:
    try:
        convert(output, list(checkpoints))
    except Exception as error:  # noqa: BLE001 - whatever it was, the process that started us explains it
        kind, detail = describe(error)
        print(json.dumps({"kind": kind, "detail": detail}))  # noqa: T201 - our answer
        return 1
    return 0


def describe(error: Exception) -> tuple[str, str]:
    """What to answer for a failure: its kind, and a detail without torch's advice to switch the safety off."""
    text = str(error)
    if isinstance(error, MemoryError) or "not enough memory" in text or "can't allocate memory" in text:
        return "memory", ""
    if isinstance(error, ContentsError):
        return "contents", text
    asked_for = re.search(r"GLOBAL ([\w.]+)", text)
    if asked_for or "TorchScript" in text:
        return "code", asked_for[1] if asked_for else "a TorchScript program"
    if isinstance(error, pickle.UnpicklingError):
        return "contents", "it is damaged, or torch did not write it"
    first_line = text.strip().partition("\n")[0]
    return "other", f"{type(error).__name__}: {first_line[:300]}"


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
