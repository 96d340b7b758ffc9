"""``SegmentationStream``: the results for many pictures, while later ones are under way."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from PIL import Image

from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.pipeline import Pipeline
from kkg_area_detection.segmentation.result import SegmentationResult
from kkg_area_detection.segmentation.segmenter import check_threshold

if TYPE_CHECKING:
    import torch

    from kkg_area_detection.documents import ImageLike
    from kkg_area_detection.progress import ItemProgress
    from kkg_area_detection.segmentation.segmenter import Segmenter


class SegmentationStream(Iterator[SegmentationResult]):
    """The results for many pictures, in their order.

    ``next`` gives a result, or raises the error of the picture whose turn it is; asked again, it goes on with
    the picture after. Where the iterable itself raises, ``next`` raises that in its turn, and the stream ends.

    After the last picture the stream closes by itself. Whoever leaves earlier drops it, as ``break`` in a
    ``for`` loop over it does, calls ``close``, or uses it in a ``with`` statement. Its threads have ended then,
    which takes no longer than the batch that is being run. Use it in one thread at a time.

    Args:
        segmenter: The loaded model.
        images: Read on a background thread, at most ``pipeline.PLACES_A_BATCH`` batches ahead.
        batch_size: The most pictures to run at a time; None for ``default_batch_size``.
        threshold: Least score of a segment, 0 to 1.
        progress: Told of each picture; entered by the first ``next``, left when the stream closes.

    Raises:
        UsageError: The threshold or the batch size cannot be one, or ``images`` is a single image.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        images: Iterable[ImageLike],
        *,
        batch_size: int | None,
        threshold: float,
        progress: AbstractContextManager[ItemProgress],
    ) -> None:
        check_threshold(threshold)
        _check_batch_size(batch_size)
        _check_several(images)
        self._total = len(images) if isinstance(images, Sized) else None
        self._progress = progress
        self._position = 0
        batch_size = batch_size or default_batch_size(segmenter.engine.device)
        pipeline = Pipeline(segmenter, iter(images), batch_size, threshold)
        self._pipeline: Pipeline | None = pipeline
        # Called when the stream is dropped, too, and at the end of Python, which must not find a thread in torch.
        self._stop = weakref.finalize(self, pipeline.stop)

    def __next__(self) -> SegmentationResult:
        pipeline = self._pipeline
        if pipeline is None:
            raise StopIteration
        try:
            if not pipeline.threads:
                pipeline.start(self._progress, self._total)
            picture = pipeline.take(self._position)
        except BaseException:  # Ctrl-C; its traceback refers to us, so that nobody else would end the threads
            self.close()
            raise
        if picture is None:
            self.close()
            raise StopIteration
        self._position += 1
        if self._position == pipeline.total:
            self.close()
        if picture.result is not None:
            return picture.result
        assert picture.error is not None
        try:
            raise picture.error
        finally:
            del picture  # else the error's traceback would hold itself through this frame

    def close(self) -> None:
        """End the threads and let go of all pictures; ``next`` raises ``StopIteration`` from now on."""
        self._pipeline = None
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def default_batch_size(device: torch.device) -> int:
    """How many pictures to run at a time where the caller does not say.

    One keeps a processor busy. A GPU takes several to be so; where they exceed its memory, fewer are run.
    """
    return 8 if device.type == "cuda" else 1


def _check_batch_size(batch_size: int | None) -> None:
    whole = isinstance(batch_size, int) and not isinstance(batch_size, bool)
    if batch_size is not None and not (whole and batch_size > 0):
        raise UsageError(
            f"batch_size is {batch_size!r}.", next_step="pass a whole number above 0, or leave it out."
        )


def _check_several(images: object) -> None:
    """Refuse what is a single image: a path would be read letter by letter, a file line by line."""
    single = isinstance(images, str | bytes | os.PathLike | Image.Image) or hasattr(images, "read")
    if single or (isinstance(images, np.ndarray) and images.ndim < 4):
        raise UsageError(
            f"images is a single {type(images).__name__}, not several images.",
            next_step="pass a list of images, or call get_segmentation_result for one.",
        )
