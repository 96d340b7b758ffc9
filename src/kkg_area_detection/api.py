"""The public functions, and the one loaded model of the process."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kkg_area_detection.documents import ImageLike, Sheet, open_image, open_sheet
from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError, NotInitializedError
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.plan import s3_uri
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.model_directory import check_model_directory, fingerprint
from kkg_area_detection.progress import show_item_progress, show_progress
from kkg_area_detection.segmentation.startup import Startup
from kkg_area_detection.settings import Settings, default_engine

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from kkg_area_detection.areas.area import Areas
    from kkg_area_detection.areas.scale import Scale
    from kkg_area_detection.segmentation.engines.selection import EngineChoice
    from kkg_area_detection.segmentation.result import SegmentationResult
    from kkg_area_detection.segmentation.segmenter import Painting, Segmenter
    from kkg_area_detection.segmentation.streaming import SegmentationStream
    from kkg_area_detection.segmentation.windows import TileOption

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
    refresh: bool = False,
    engine: str | None = None,
    precision: str = "auto",
    warmup: bool = False,
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
        refresh: Compare a cached model with S3 first, and fetch the files that have changed.
        engine: What runs the network. ``"native"``: our own code. ``"reference"``: transformers, slower.
            ``"openvino"``: on a CPU, with the extra of that name installed. ``"auto"``: native, and transformers
            for a model that native does not know. None takes ``KKG_ENGINE``, or ``"auto"``.
        precision: Of the matrix products: ``"float32"``, ``"bfloat16"``, ``"float16"``, or ``"auto"``: float32 on
            a CPU, float16 on a GPU.
        warmup: Run the network once, so that the first image takes no longer than the others.
        progress: True for a progress bar, False for silence, None for a bar on a terminal and log lines
            elsewhere.

    Raises:
        UsageError: Neither ``model_path`` nor ``model_name`` is given, there is no such engine or precision, or
            the engine cannot run this model.
        DeviceError: The device is unknown or not usable here.
        ModelNotFoundError: There is no directory at ``model_path``.
        InvalidModelError: The model is incomplete, malformed, or of an unsupported kind.
        SettingsError: The model is not cached and S3 is not configured.
        MissingDependencyError: The model is not cached and boto3 is not installed, or the engine is not.
        HubError: The model could not be fetched; the leaf says why.
    """
    global _current  # noqa: PLW0603 - one model a process is the contract
    from kkg_area_detection.segmentation.device import parse_device
    from kkg_area_detection.segmentation.engines.selection import EngineChoice

    choice = EngineChoice.parse(engine or default_engine(), precision)
    parse_device(device)  # before the download: a typo should not cost 800 MB
    with _initializing:
        with show_progress(progress) as sink:
            startup = Startup(device, sink)
            directory = resolve_model(model_path, model_name, startup, refresh=refresh)
        loaded = _load_unchanged(directory, startup.device(), choice, _current)
        if warmup:
            loaded.segmenter.warm_up()
        _current = loaded


def get_segmentation_result(
    image: ImageLike,
    *,
    threshold: float = 0.5,
    tile: TileOption = None,
    painting: Painting = "exact",
    progress: bool | None = None,
) -> SegmentationResult:
    """Segment a drawing with the model that ``initialize_model`` loaded.

    Args:
        image: A path, also of a PDF (``plan.pdf#page=2``); a ``PIL.Image`` of any mode and size; or a uint8 array
            of shape (H, W), (H, W, 3) or (H, W, 4). The EXIF orientation is applied.
        threshold: Least score (class probability times mean mask probability, 0 to 1) of a segment.
        tile: For large sheets: see the drawing through overlapping windows, and merge what they show. Size and
            overlap of the windows in pixels, such as ``(2048, 512)``; or ``"auto"``, which leaves a drawing as it
            is that the model sees sharply enough as a whole. It goes by the size of the sheet, and, where the
            model's input is small, by what it finds in a closer look. None, the default, never does.
        painting: ``"exact"``: as transformers does it, to the pixel. ``"fine"``: borders between the cells of the
            network, each cell to the most probable segment, and no doubles; ``detect_areas`` takes this one.
            Windows are merged in their own way, whichever it is.
        progress: Of the windows: True for a progress bar, False for silence, None for a bar on a terminal and log
            lines elsewhere.

    Returns:
        A mapping with ``segmentation``, a tensor of shape (H, W) with a segment's id at each pixel and -1
        for background, and ``segments_info``, a list of ``id``, ``label_id``, ``score`` and ``was_fused``.
        Its attributes give the image size and the labels.

    Raises:
        NotInitializedError: ``initialize_model`` has not been called, or has not succeeded yet.
        UsageError: The threshold is not between 0 and 1, ``tile`` cannot be windows, or there is no such painting.
        ImageNotFoundError: There is no file at the path.
        ImageError: The image cannot be read.
        DeviceError: The device's memory was not enough.
    """
    return _segment(
        _loaded_segmenter(),
        open_image(image),
        threshold=threshold,
        tile=tile,
        painting=painting,
        progress=progress,
    )


def detect_areas(
    image: ImageLike | Sheet,
    *,
    scale: Scale | str | float | None = None,
    page: int | None = None,
    dpi: float | None = None,
    password: str | None = None,
    threshold: float = 0.5,
    tile: TileOption = "auto",
    painting: Painting = "fine",
    simplify: float = 1.0,
    square: bool = False,
    least_share: float | None = None,
    labels: Collection[str] | None = None,
    wall_labels: Collection[str] | None = None,
    progress: bool | None = None,
) -> Areas:
    """Detect the areas of a drawing with the model that ``initialize_model`` loaded.

    Args:
        image: As for ``get_segmentation_result``; or a ``Sheet`` from ``open_sheets``.
        scale: What the drawing's pixels mean: ``"1/100"`` (or 100) where the resolution is known, ``"50px/m"``,
            ``"8.5mm/px"``, two points and their distance ``"100,80,530,80=3640mm"``, or a ``Scale``. None takes
            what a PDF notes; where nothing does, areas are in pixels only.
        page: Of a PDF or TIFF with several, from 1 on.
        dpi: Pixels an inch of the paper: those at which a PDF page is drawn, or those of a scan whose file does
            not say it.
        password: Of an encrypted PDF.
        threshold: Least score (0 to 1) of a segment.
        tile: For large sheets, and for sheets of many rooms where the model's input is small: see
            ``get_segmentation_result``. None never looks through windows.
        painting: See ``get_segmentation_result``.
        simplify: How much borders may be simplified, in cells of the network's grid; see ``areas_from_result``.
        square: Whether to draw sides along the plan's main directions.
        least_share: Share of the picture that a piece has at least; see ``areas_from_result``.
        labels: Which labels to return; None returns all.
        wall_labels: Labels of which to find centre lines; see ``areas_from_result``.
        progress: See ``get_segmentation_result``.

    Returns:
        The areas: polygons that share their borders, in pixels of the image, x right and y down.

    Raises:
        NotInitializedError: ``initialize_model`` has not been called, or has not succeeded yet.
        UsageError: An option cannot be what it was passed for, or the scale is a ratio and nobody knows the
            resolution.
        ImageNotFoundError: There is no file at the path.
        ImageError: The image cannot be read, or has no such page.
        DeviceError: The device's memory was not enough.

    Example:
        >>> areas = detect_areas("plan.pdf", page=2, scale="1/100")  # doctest: +SKIP
        >>> areas.save("plan.dxf")  # doctest: +SKIP
    """
    segmenter = _loaded_segmenter()
    from kkg_area_detection.areas.detect import areas_from_result
    from kkg_area_detection.areas.sheet_scale import scale_of_sheet

    sheet = image
    if not isinstance(sheet, Sheet):
        sheet = open_sheet(sheet, page=page, dpi=dpi, password=password)
    known_scale = scale_of_sheet(sheet, scale, dpi)  # before the seconds that segmentation may take
    return areas_from_result(
        _segment(
            segmenter,
            sheet.image,
            threshold=threshold,
            tile=tile,
            painting=painting,
            progress=progress,
        ),
        simplify=simplify,
        square=square,
        least_share=least_share,
        labels=labels,
        wall_labels=wall_labels,
        scale=known_scale,
        name=sheet.name,
    )


def _segment(
    segmenter: Segmenter,
    picture: Image.Image,
    *,
    threshold: float,
    tile: TileOption,
    painting: Painting,
    progress: bool | None,
) -> SegmentationResult:
    from kkg_area_detection.segmentation.segmenter import check_painting

    check_painting(painting)
    if tile is None:
        return segmenter.segment(picture, threshold, painting)
    from kkg_area_detection.segmentation.probing import find_tiles
    from kkg_area_detection.segmentation.tiling import segment_tiled

    tiles = find_tiles(tile, segmenter, picture, threshold)
    if tiles is None:
        return segmenter.segment(picture, threshold, painting)
    with show_item_progress(progress) as sink:
        return segment_tiled(segmenter, picture, tiles, threshold, sink)


def get_segmentation_results(
    images: Iterable[ImageLike],
    *,
    batch_size: int | None = None,
    threshold: float = 0.5,
    progress: bool | None = None,
) -> SegmentationStream:
    """Segment many drawings with the model that ``initialize_model`` loaded.

    The next drawings are prepared while one is segmented, and while the caller is busy with a result; with
    CUDA, running and post-processing overlap, too. Memory does not grow with the number of drawings: at most
    ``4 * batch_size`` are on their way. Those of different sizes are never padded or stretched: only drawings
    of which the network sees the same number of rows and columns share a batch.

    Args:
        images: As for ``get_segmentation_result``; any iterable, also an endless one. It is read on a
            background thread, as far ahead as needed.
        batch_size: The most drawings to run at a time; fewer where the GPU's memory is not enough. None means
            8 with CUDA and 1 elsewhere. With 1, the results are exactly those of ``get_segmentation_result``;
            with more, scores can differ in their last digits, and now and then a pixel at a border.
        threshold: Least score (class probability times mean mask probability, 0 to 1) of a segment.
        progress: True for a progress bar, False for silence, None for a bar on a terminal and log lines
            elsewhere.

    Returns:
        An iterator over the results, in the order of ``images``. Where a drawing cannot be segmented, ``next``
        raises an error that names it, and goes on with the one after when it is called again. Nothing is read
        before the first ``next``. Leaving a ``for`` loop over it ends it; so do ``close`` and ``with``.

    Raises:
        NotInitializedError: ``initialize_model`` has not been called, or has not succeeded yet.
        UsageError: The threshold or the batch size cannot be one, or ``images`` is a single image.

    Example:
        >>> results = get_segmentation_results(paths)  # doctest: +SKIP
        >>> for path in paths:  # doctest: +SKIP
        ...     try:
        ...         print(path, next(results))
        ...     except ImageError as error:
        ...         print(error)
    """
    segmenter = _loaded_segmenter()
    from kkg_area_detection.segmentation.streaming import SegmentationStream

    return SegmentationStream(
        segmenter,
        images,
        batch_size=batch_size,
        threshold=threshold,
        progress=show_item_progress(progress),
    )


def publish_model(
    directory: str | os.PathLike[str],
    model_name: str,
    *,
    force: bool = False,
    progress: bool | None = None,
) -> str:
    """Upload a model directory to S3, where ``initialize_model(model_name=...)`` finds it.

    The model is checked first: it must load. Readers see the whole model or none, also when the upload is
    interrupted; push again then. Nothing in S3 is ever deleted.

    Args:
        directory: As ``save_pretrained`` writes it: ``config.json`` and safetensors.
        model_name: The name it gets. ``S3_MODEL_KEY`` must end in ``/`` and contain ``{model_name}``.
        force: Replace a model of that name. Readers get an error until the upload has ended.
        progress: True for a progress bar, False for silence, None for a bar on a terminal and log lines
            elsewhere.

    Returns:
        The S3 URI of the model.

    Raises:
        UsageError: The name cannot be used, or there is such a model and ``force`` is not set.
        SettingsError: The bucket or the key is not set, or the key has no place for the name.
        MissingDependencyError: boto3 is not installed.
        ModelNotFoundError: There is no such directory.
        InvalidModelError: The directory does not hold a model that loads, or holds links.
        HubError: The upload failed; the leaf says why. ``AccessDeniedError`` where ``s3:PutObject`` is
            missing.
    """
    from kkg_area_detection.hub.publish import connect, location_to_publish, publish_directory

    settings = Settings.load()
    bucket, prefix = location_to_publish(model_name, settings)
    path = Path(directory).expanduser()
    check_model_directory(path)  # milliseconds, before the seconds that torch takes to import
    _check_that_it_loads(path)
    client = connect(settings)
    with show_progress(progress) as sink:
        publish_directory(path, bucket, prefix, client, sink, force=force)
    return s3_uri(bucket, prefix)


def demo_model_path() -> Path:
    """The directory of the small model that comes with the package, for trying things out.

    It was trained on generated plans only; its ``README.md`` says what it can and cannot do.
    """
    return Path(__file__).parent / "demo" / "model"


def _loaded_segmenter() -> Segmenter:
    model = _current
    if model is None:
        raise NotInitializedError(
            "No model is loaded.",
            next_step="call kkg_area_detection.initialize_model(model_name='large') first.",
        )
    return model.segmenter


def _load_unchanged(
    directory: Path, device: torch.device, choice: EngineChoice, current: _LoadedModel | None
) -> _LoadedModel:
    """Load a directory, and again where another process has replaced it meanwhile: never a mix of two models."""
    for attempts_left in (2, 1, 0):
        try:
            identity = (directory.resolve(), fingerprint(directory), str(device), choice)
            if current is not None and current.identity == identity:
                return current
            model = _LoadedModel(_load(directory, device, choice), identity)
            if fingerprint(directory) == identity[1] or not attempts_left:
                return model
        except (InvalidModelError, ModelNotFoundError, FileNotFoundError):
            if not attempts_left:
                raise
            time.sleep(0.2)  # between the two renames of a refresh there is no directory
    raise AssertionError("unreachable")


def _load(directory: Path, device: torch.device, choice: EngineChoice) -> Segmenter:
    from kkg_area_detection.segmentation.segmenter import Segmenter

    logger.info("Loading %s on %s.", directory, device)
    return Segmenter.load(directory, device, choice, _directory_for_derived)


def _directory_for_derived() -> Path:
    return ModelCache.at(Settings.load().cache_dirs).derived()


def _check_that_it_loads(directory: Path) -> None:
    from kkg_area_detection.segmentation.preprocessing import ProcessorSettings
    from kkg_area_detection.segmentation.weights_check import check_weights_fit

    ProcessorSettings.from_directory(directory)
    check_weights_fit(directory)
