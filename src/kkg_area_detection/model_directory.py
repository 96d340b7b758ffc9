"""What a model directory holds, and the load gate: is it a complete, well-formed model?

Reads headers only, so it costs milliseconds for a model of any size, and it opens nothing as code: JSON and
the header of safetensors files (8 bytes little-endian length, then JSON, then one contiguous buffer;
https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from kkg_area_detection.errors import InvalidModelError, ModelAccessError, ModelNotFoundError

CONFIG_NAME = "config.json"
PROCESSOR_NAME = "preprocessor_config.json"
WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
SUPPORTED_MODEL_TYPES = ("mask2former",)

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit


def check_model_directory(directory: Path) -> None:
    """Pass silently where the directory can be loaded.

    Raises:
        ModelNotFoundError: There is no such directory.
        ModelAccessError: It, or a file in it, may not be read.
        InvalidModelError: A file is missing, truncated or malformed; the message names it.
    """
    try:
        _check(directory)
    except PermissionError as error:
        raise ModelAccessError(
            f"{error.filename or directory} may not be read.",
            cause="it belongs to another user, or its permissions are too strict.",
            next_step="ask its owner for read permission, or give it yourself (chmod -R u+rX).",
        ) from error


def _check(directory: Path) -> None:
    if not directory.is_dir():
        raise _no_directory(directory)
    if not (directory / CONFIG_NAME).is_file():
        raise _no_config(directory)
    config = read_json_object(directory / CONFIG_NAME)
    model_type = config.get("model_type")
    if model_type not in SUPPORTED_MODEL_TYPES:
        raise InvalidModelError(
            f"{directory / CONFIG_NAME} describes a model of type {model_type!r}, which is not supported.",
            next_step=f"use a model of type {' or '.join(SUPPORTED_MODEL_TYPES)}.",
        )
    if (directory / PROCESSOR_NAME).exists():
        read_json_object(directory / PROCESSOR_NAME)
    for path in weights_files(directory):
        _check_safetensors(path)


def weights_files(directory: Path) -> list[Path]:
    """The files that together hold the weights.

    Raises:
        InvalidModelError: There are none, some are missing, or they are pickles.
    """
    if (directory / WEIGHTS_NAME).is_file():
        return [directory / WEIGHTS_NAME]
    index_path = directory / INDEX_NAME
    if index_path.is_file():
        return _shards(index_path)
    if any(path.suffix.lower() in PICKLE_SUFFIXES for path in directory.iterdir()):
        raise pickle_refused(str(directory))
    others = sorted(path.name for path in directory.glob("*.safetensors"))
    raise InvalidModelError(
        f"{WEIGHTS_NAME} is missing in {directory}" + (f" ({others[0]} is there)." if others else "."),
        cause="the weights have another name." if others else "the directory was not copied completely.",
        next_step=f"rename the weights to {WEIGHTS_NAME}."
        if others
        else "copy the whole model directory again.",
    )


def fingerprint(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes (bytes) and modification times (ns) of a model's files: changes when the model does."""
    entries = ((path.name, path.stat()) for path in sorted(directory.iterdir()) if path.is_file())
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in entries)


def pickle_refused(place: str) -> InvalidModelError:
    """The error for weights that could run code when loaded."""
    return InvalidModelError(
        f"{place} holds its weights as a pickle, which is never loaded because it can run any code.",
        next_step="if you trust it, convert and upload it: kkg models push DIRECTORY --name NAME --convert",
    )


def _shards(index_path: Path) -> list[Path]:
    weight_map = read_json_object(index_path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise _malformed(index_path, "it has no weight_map")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if not name.endswith(".safetensors") or "/" in name or "\\" in name:
            raise _malformed(index_path, f"it names {name!r}, which is no safetensors file beside it")
        if not (index_path.parent / name).is_file():
            raise InvalidModelError(
                f"{name} is missing in {index_path.parent}, but {index_path.name} lists it.",
                cause="the directory was not copied completely.",
                next_step="copy the whole model directory again.",
            )
    return [index_path.parent / name for name in names]


def _check_safetensors(path: Path) -> None:
    file_size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise _truncated(path, f"it has only {file_size} bytes")
        (header_size,) = struct.unpack("<Q", prefix)
        if header_size > _MAX_HEADER_BYTES:
            raise _malformed(path, "it does not begin with a safetensors header")
        if 8 + header_size > file_size:
            raise _truncated(path, f"it has only {file_size} bytes")
        header = _parse_header(path, file.read(header_size))
    expected = 8 + header_size + max((end for _, end in _spans(path, header)), default=0)
    if file_size < expected:
        raise _truncated(path, f"it has {file_size} of {expected} bytes")
    if file_size > expected:
        raise _malformed(path, f"it has {file_size - expected} bytes too many")


def _spans(path: Path, header: dict[str, Any]) -> list[tuple[int, int]]:
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        match entry:
            case {"data_offsets": [int(begin), int(end)]} if 0 <= begin <= end:
                spans.append((begin, end))
            case _:
                raise _malformed(path, f"tensor {name!r} has no valid offsets")
    return spans


def _parse_header(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw)
    except ValueError as error:
        raise _malformed(path, "its safetensors header is damaged") from error
    if not isinstance(header, dict):
        raise _malformed(path, "its safetensors header is damaged")
    return header


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file of a model directory.

    Raises:
        InvalidModelError: The file is missing, unreadable, not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # JSON and UTF-8 errors are both ValueErrors
        raise _malformed(path, f"it is not valid JSON ({error})") from error
    except FileNotFoundError as error:
        raise InvalidModelError(
            f"{path} is missing.", next_step="copy the whole model directory again."
        ) from error
    except RecursionError as error:
        raise _malformed(path, "it is nested too deeply") from error
    if not isinstance(content, dict):
        raise _malformed(path, "it is not a JSON object")
    return content


def _no_directory(path: Path) -> ModelNotFoundError:
    if path.is_file():
        return ModelNotFoundError(
            f"{path} is a file; a model is a directory with {CONFIG_NAME} and {WEIGHTS_NAME}.",
            next_step=f"pass the directory: {path.parent}",
        )
    return ModelNotFoundError(
        f"There is no model directory {path}.",
        cause="the path has a typo, or is relative to another working directory.",
        next_step=f"check it (the working directory is {Path.cwd()}), or pass model_name to fetch from S3.",
    )


def _no_config(directory: Path) -> InvalidModelError:
    nested = sorted(path.parent.name for path in directory.glob(f"*/{CONFIG_NAME}"))
    if nested:
        return InvalidModelError(
            f"{directory} holds no {CONFIG_NAME}, but its folders do: {', '.join(nested[:5])}.",
            next_step=f"pass one of them, for example {directory / nested[0]}",
        )
    return InvalidModelError(
        f"{CONFIG_NAME} is missing in {directory}.",
        cause="the directory was not copied completely, or it is not a model directory.",
        next_step="copy the whole folder that save_pretrained() wrote.",
    )


def _malformed(path: Path, reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"{path} is malformed: {reason}.", next_step="replace it with a sound copy of the file."
    )


def _truncated(path: Path, reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"{path} is truncated: {reason}.",
        cause="a copy or download was cut short.",
        next_step="replace it with a complete copy of the file.",
    )
