"""The public functions, and the one loaded model of the process."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kkg_area_detection.documents import ImageLike, open_image
from kkg_area_detection.errors import NotInitializedError
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.model_directory import fingerprint
from kkg_area_detection.progress import show_progress

if TYPE_CHECKING:
    import torch

    from kkg_area_detection.segmentation.result import SegmentationResult
    from kkg_area_detection.segmentation.segmenter import Segmenter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _LoadedModel:
    segmenter: Segmenter
    identity: tuple[object, ...]


_current: _LoadedModel | None = None
_initializing = threading.Lock()


def initialize_model(
    model_path: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    model_name: str | None = None,
    *,
    progress: bool | None = None,
) -> None:
    """Load the model that ``get_segmentation_result`` will use, fetching it from S3 where needed.

    Calling it again with the same model and device does nothing; with others it replaces the model. Where it
    fails, the model that was loaded before stays in use. Several threads may call it at once.

    Args:
        model_path: A local model directory. Neither the cache nor S3 is touched.
        device: ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"cpu"``; None takes the first of these that is
            usable.
        model_name: Name of a model: the cached one if it is there, complete and sound, else the one in S3
            (``S3_BUCKET_NAME``, ``S3_MODEL_KEY``). Ignored where ``model_path`` is given.
        progress: True for a progress bar, False for silence, None for a bar on a terminal and log lines
            elsewhere.

    Raises:
        UsageError: Neither ``model_path`` nor ``model_name`` is given.
        DeviceError: The device is unknown or not usable here.
        ModelNotFoundError: There is no directory at ``model_path``.
        InvalidModelError: The model is incomplete, malformed, or of an unsupported kind.
        SettingsError: The model is not cached and S3 is not configured.
        MissingDependencyError: The model is not cached and boto3 is not installed.
        HubError: The model could not be fetched; the leaf says why.
    """
    global _current  # noqa: PLW0603 - one model a process is the contract
    from kkg_area_detection.segmentation.device import resolve_device

    with _initializing:
        chosen_device = resolve_device(device)  # before the download: a typo should not cost 800 MB
        with show_progress(progress) as sink:
            directory = resolve_model(model_path, model_name, sink)
        identity = (directory.resolve(), fingerprint(directory), str(chosen_device))
        if _current is None or _current.identity != identity:
            _current = _LoadedModel(_load(directory, chosen_device), identity)


def get_segmentation_result(image: ImageLike, *, threshold: float = 0.5) -> SegmentationResult:
    """Segment a drawing with the model that ``initialize_model`` loaded.

    Args:
        image: A path, a ``PIL.Image`` of any mode and size, or a uint8 array of shape (H, W), (H, W, 3) or
            (H, W, 4). The EXIF orientation is applied.
        threshold: Least score (class probability times mean mask probability, 0 to 1) of a segment.

    Returns:
        A mapping with ``segmentation``, a tensor of shape (H, W) with a segment's id at each pixel and -1
        for background, and ``segments_info``, a list of ``id``, ``label_id``, ``score`` and ``was_fused``.
        Its attributes give the image size and the labels.

    Raises:
        NotInitializedError: ``initialize_model`` has not been called, or has not succeeded yet.
        UsageError: The threshold is not between 0 and 1.
        ImageNotFoundError: There is no file at the path.
        ImageError: The image cannot be read.
    """
    model = _current
    if model is None:
        raise NotInitializedError(
            "No model is loaded.",
            next_step="call kkg_area_detection.initialize_model(model_name='large') first.",
        )
    return model.segmenter.segment(open_image(image), threshold)


def demo_model_path() -> Path:
    """The directory of the small model that comes with the package, for trying things out.

    It was trained on generated plans only; its ``README.md`` says what it can and cannot do.
    """
    return Path(__file__).parent / "demo" / "model"


def _load(directory: Path, device: torch.device) -> Segmenter:
    from kkg_area_detection.segmentation.segmenter import Segmenter

    logger.info("Loading %s on %s.", directory, device)
    return Segmenter.load(directory, device)
