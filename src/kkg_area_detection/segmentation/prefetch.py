"""Asking an iterable for pictures, and preparing them, ahead of the network."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from kkg_area_detection.documents import ImageLike, open_image
from kkg_area_detection.errors import KkgAreaDetectionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kkg_area_detection.segmentation.result import SegmentationResult
    from kkg_area_detection.segmentation.segmenter import Segmenter


@dataclass(eq=False, slots=True)
class Picture:
    """One picture on its way.

    Attributes:
        position: Its place in the caller's iterable, from 0.
        source: What the iterable gave, until it is prepared.
        image_shape: Height and width in pixels.
        pixels: Shape (3, h, w): the network's input, until it is run.
        result: Its segments, at the end.
        error: What came in between.
    """

    position: int
    source: Any = None
    image_shape: tuple[int, int] = (0, 0)
    pixels: NDArray[np.float32] | None = None
    result: SegmentationResult | None = None
    error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Note an error; if it is one of ours, say in it which picture it is about."""
        self.error = error
        if isinstance(error, KkgAreaDetectionError):
            what = f"images[{self.position}]: {error.what}"
            self.error = type(error)(what, cause=error.cause, next_step=error.next_step)
            self.error.__cause__ = error


class _Asking(NamedTuple):
    thread: threading.Thread
    since: float


class Prefetch:
    """The first stage; any number of threads may work at it, by calling ``prepare_one`` again and again.

    Args:
        segmenter: Prepares the pictures.
        images: Asked by one thread at a time, and only when there is a place.
        places: How many pictures may be on their way at a time.

    Attributes:
        prepared: Where the pictures go, in no order, with ``pixels`` or ``error``; None to wake whoever waits.
        asked: How many pictures the iterable has given.
        total: How many it had in all, once it has ended.
    """

    def __init__(self, segmenter: Segmenter, images: Iterator[ImageLike], places: int) -> None:
        self.prepared: SimpleQueue[Picture | None] = SimpleQueue()
        self.asked = 0
        self.total: int | None = None
        self._segmenter = segmenter
        self._stopped = False
        self._asking: _Asking | None = None
        self._images: SimpleQueue[Iterator[ImageLike] | None] = SimpleQueue()  # whoever takes it may ask it
        self._places: SimpleQueue[None] = SimpleQueue()
        self._images.put(images)
        for _ in range(places):
            self._places.put(None)

    def give_place(self) -> None:
        """Make room for another picture: one has left."""
        self._places.put(None)

    def stop(self) -> None:
        """Let every ``prepare_one`` return soon; but one that is asking the iterable must wait for it."""
        self._stopped = True
        self._images.put(None)
        self._places.put(None)
        self.prepared.put(None)

    def is_asked_by(self, thread: threading.Thread) -> bool:
        """Whether a thread is waiting for the iterable just now."""
        asking = self._asking
        return asking is not None and asking.thread is thread

    def waiting_s(self) -> float:
        """For how many seconds some thread has been waiting for the iterable."""
        asking = self._asking
        return 0.0 if asking is None else time.monotonic() - asking.since

    def prepare_one(self) -> bool:
        """Ask the iterable for a picture and prepare it. False where there are no more."""
        images = self._images.get()
        if images is not None:
            self._places.get()
        picture = None if images is None or self._stopped else self._ask(images)
        if picture is None or self._stopped:
            self._images.put(None)
            self.prepared.put(None)
            return False
        if self.total is not None:
            images = None
        if isinstance(picture.source, str | os.PathLike):
            self._images.put(images)
            self._prepare(picture)
        else:  # what lies in memory may change when the next one is asked for: frames, buffers used again
            self._prepare(picture)
            self._images.put(images)
        return True

    def _ask(self, images: Iterator[ImageLike]) -> Picture | None:
        picture = Picture(self.asked)
        self._asking = _Asking(threading.current_thread(), time.monotonic())
        try:
            picture.source = next(images)
        except StopIteration:
            self.total = picture.position
            return None
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self.total = picture.position + 1
            picture.error = error
        finally:
            self._asking = None
        self.asked += 1
        return picture

    def _prepare(self, picture: Picture) -> None:
        if picture.error is None:
            try:
                image = open_image(picture.source)
                picture.image_shape = (image.height, image.width)
                picture.pixels = self._segmenter.prepare(image)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
                picture.fail(error)
        picture.source = None
        self.prepared.put(picture)
