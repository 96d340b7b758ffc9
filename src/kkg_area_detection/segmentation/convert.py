"""From a pickle checkpoint to safetensors, without ever unpickling in this process.

A pickle can name any function to be called while it is read. So the reading happens in a process of its own
(``convert_process``), with torch's ``weights_only`` unpickler, which knows tensors and containers and nothing
else, and without this process's AWS credentials.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError, UsageError
from kkg_area_detection.model_directory import (
    CONFIG_NAME,
    INDEX_NAME,
    PICKLE_SUFFIXES,
    WEIGHTS_NAME,
    check_model_directory,
    read_json_object,
)

logger = logging.getLogger(__name__)

PICKLE_NAME = "pytorch_model.bin"
PICKLE_INDEX_NAME = "pytorch_model.bin.index.json"
TIMEOUT_S = 900.0

# What a run of the Trainer leaves beside the weights.
_NOT_WEIGHTS = ("optimizer", "scheduler", "scaler", "rng_state", "training_args")


@contextmanager
def converted(source: Path, timeout_s: float = TIMEOUT_S) -> Iterator[Path]:
    """Convert into a temporary directory, which lasts as long as the context.

    Raises:
        KkgAreaDetectionError: As ``convert_checkpoint``.
    """
    with tempfile.TemporaryDirectory(prefix="kkg-convert-") as temporary:
        target = Path(temporary) / "model"
        convert_checkpoint(source, target, timeout_s)
        yield target


def convert_checkpoint(source: Path, target: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Make a new model directory with safetensors from one with a pickle checkpoint.

    Args:
        source: Holds ``config.json`` and ``pytorch_model.bin``, or its index and shards, or one ``.pt`` or
            ``.pth`` file with a state dict. It is left as it is.
        target: Is created; gets ``model.safetensors`` and the JSON files. After an error it is not there.
        timeout_s: How long the reading and writing of the weights may take, in seconds.

    Raises:
        ModelNotFoundError: There is no such directory.
        UsageError: The target exists, or the source holds safetensors already.
        InvalidModelError: There is no checkpoint, it is more than a state dict of tensors (it may be
            malicious), or it could not be read in the time and memory there are.
    """
    checkpoint = _checkpoint_files(source)
    documents = _documents(source)
    try:
        target.mkdir(parents=True)
    except FileExistsError as error:
        raise UsageError(f"{target} exists.", next_step="name a directory that does not.") from error
    try:
        for path in documents:
            shutil.copyfile(path, target / path.name)
        _run(checkpoint, target / WEIGHTS_NAME, timeout_s)
        check_model_directory(target)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    logger.info("Converted %s to %s.", ", ".join(path.name for path in checkpoint), WEIGHTS_NAME)


def _checkpoint_files(source: Path) -> list[Path]:
    """The pickles that together hold the weights."""
    if not source.is_dir():
        raise ModelNotFoundError(f"There is no directory {source}.", next_step="check the path.")
    if (source / WEIGHTS_NAME).exists() or (source / INDEX_NAME).exists():
        raise UsageError(
            f"{source} holds its weights as safetensors already.",
            next_step="use it as it is, without --convert.",
        )
    if (source / PICKLE_NAME).is_file():
        return [_no_link(source / PICKLE_NAME)]
    if (source / PICKLE_INDEX_NAME).is_file():
        return _shards(source / PICKLE_INDEX_NAME)
    candidates = sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in PICKLE_SUFFIXES
        and path.is_file()
        and not path.name.startswith(_NOT_WEIGHTS)
    )
    if len(candidates) == 1:
        return [_no_link(candidates[0])]
    if candidates:
        raise InvalidModelError(
            f"{source} holds several checkpoints: {', '.join(path.name for path in candidates[:5])}.",
            next_step=f"keep only the one to convert, or rename it to {PICKLE_NAME}.",
        )
    raise InvalidModelError(
        f"{source} holds no checkpoint to convert.",
        next_step=f"pass a directory with {CONFIG_NAME} and {PICKLE_NAME} (or one .pt or .pth file).",
    )


def _shards(index: Path) -> list[Path]:
    weight_map = read_json_object(index).get("weight_map")
    names = sorted({str(name) for name in weight_map.values()}) if isinstance(weight_map, dict) else []
    for name in names:
        if "/" in name or "\\" in name or not (index.parent / name).is_file():
            raise InvalidModelError(
                f"{index} lists {name!r}, which is not a file beside it.",
                cause="the directory was not copied completely.",
                next_step="copy the whole model directory again.",
            )
    if not names:
        raise InvalidModelError(f"{index} has no weight_map.", next_step="copy the file anew.")
    return [_no_link(index.parent / name) for name in names]


def _documents(source: Path) -> list[Path]:
    """The JSON files that belong to the model."""
    documents = [path for path in sorted(source.glob("*.json")) if path.name != PICKLE_INDEX_NAME]
    if source / CONFIG_NAME not in documents:
        raise InvalidModelError(
            f"{CONFIG_NAME} is missing in {source}.",
            cause="only the weights were saved, not the whole model.",
            next_step=f"put the {CONFIG_NAME} of the training beside the checkpoint.",
        )
    return [_no_link(path) for path in documents]


def _no_link(path: Path) -> Path:
    if path.is_symlink():  # it could lead to any file of this machine, which would then be published
        raise InvalidModelError(
            f"{path} is a link, and links are not followed.",
            next_step="convert a copy that holds the files themselves: cp -rL old new",
        )
    return path


def _run(checkpoint: Sequence[Path], weights: Path, timeout_s: float) -> None:
    """Run the other process, and explain what became of it."""
    # -P: a torch.py in the working directory must not be what is imported.
    command = [sys.executable, "-P", "-m", "kkg_area_detection.segmentation.convert_process"]
    paths = [str(path.absolute()) for path in (weights, *checkpoint)]
    names = ", ".join(str(path) for path in checkpoint)
    try:
        done = subprocess.run(
            [*command, *paths],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidModelError(
            f"The conversion of {names} did not end within {timeout_s:.0f} s.",
            cause="the machine or its disk is very busy, or the file is made to keep it busy.",
            next_step="try again on a quieter machine.",
        ) from error
    if done.returncode != 0:
        raise _failure(names, done)


def _environment() -> dict[str, str]:
    """What the other process may know: no credentials, and no switch that makes torch less careful."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TORCH_FORCE"))}


def _failure(names: str, done: subprocess.CompletedProcess[bytes]) -> InvalidModelError:
    try:
        report = json.loads(done.stdout)
        kind, detail = str(report["kind"]), str(report["detail"])
    except (ValueError, KeyError, TypeError):
        kind, detail = ("memory", "") if done.returncode == -_SIGKILL else ("crash", _last_line(done.stderr))
    if kind == "code":
        return InvalidModelError(
            f"{names} is more than weights{f': it asks for {detail}' if detail else ''}. Nothing of it was run.",
            cause="it holds a whole model object or a training state instead of a state dict, or it is malicious.",
            next_step="where you trust its source, save the model anew with save_pretrained() there.",
        )
    if kind == "memory":
        return InvalidModelError(
            f"The memory of this machine is not enough to convert {names}.",
            next_step="close other programs, or convert on a machine with more memory (twice the file's size).",
        )
    if kind == "contents":
        return InvalidModelError(
            f"{names} is not a state dict: {detail}.",
            next_step="save model.state_dict() with torch.save, or better, use model.save_pretrained().",
        )
    return InvalidModelError(
        f"{names} could not be converted: {detail or f'the process ended with status {done.returncode}'}",
        cause="the file is damaged, or the disk for the result is full.",
        next_step="copy the file anew from where it was saved; set TMPDIR to a larger disk if this one is full.",
    )


def _last_line(raw: bytes) -> str:
    lines = raw.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


_SIGKILL = getattr(signal, "SIGKILL", 9)  # how Linux ends a process when memory runs out
