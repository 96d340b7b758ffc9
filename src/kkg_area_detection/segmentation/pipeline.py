"""The stages that many pictures pass, all at work at the same time.

::

    the caller's iterable -> prepare (a few threads) -> run -> finish -> the caller's loop

A picture takes one of a fixed number of places before the iterable is asked for it, and gives it back when
its result is handed out. So at most ``PLACES_A_BATCH * batch_size`` pictures are on their way at any time,
whichever stage is the slowest, and an endless iterable is as good as a list.

With CUDA, running and finishing have a thread each. On a processor they share the caller's thread, while the
caller waits for a result: both use all cores already, and as soon as two threads use torch, each has a pool of
workers, and they get into each other's way (on two cores, the bundled model did a fifth less). It also means
that Ctrl-C interrupts the network, and that whoever leaves early need not wait for it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from kkg_area_detection.errors import DeviceError
from kkg_area_detection.segmentation.batching import Line
from kkg_area_detection.segmentation.prefetch import Picture, Prefetch

if TYPE_CHECKING:
    from kkg_area_detection.documents import ImageLike
    from kkg_area_detection.progress import ItemProgress
    from kkg_area_detection.segmentation.engines import MaskOutputs
    from kkg_area_detection.segmentation.segmenter import Segmenter

logger = logging.getLogger(__name__)

# One batch is run, one is finished, two are prepared or wait for the caller. More than a batch looks ahead, so
# that the network need not wait for a caller who is still busy with an earlier result.
PLACES_A_BATCH = 4

# Batches whose logits are kept at a time: one is finished, one is run or waits.
_BATCHES_OF_LOGITS = 2

_MOST_PREPARERS = 4

# A batch that is not full is run all the same when the iterable has given nothing for so long.
_PATIENCE_S = 0.2

# The end waits so long for an iterable that is being asked for a picture: nobody can interrupt it.
_PATIENCE_AT_THE_END_S = 1.0

_POLL_S = 0.1  # on Windows, a wait without a time-out cannot be interrupted by Ctrl-C


class _Batch(NamedTuple):
    pictures: list[Picture]
    outputs: MaskOutputs
    ready: torch.cuda.Event | None  # a GPU may still be at work on the outputs


class Pipeline:
    """The stages and the queues between them.

    The caller's thread shares no lock with the others: Ctrl-C may strike it anywhere, and must not leave one
    locked. A None in a queue wakes whoever waits there.

    Args:
        segmenter: The loaded model.
        images: Asked by one thread at a time.
        batch_size: The most pictures to run at a time.
        threshold: Least score of a segment, 0 to 1.

    Attributes:
        threads: Empty before ``start``.
    """

    def __init__(
        self, segmenter: Segmenter, images: Iterator[ImageLike], batch_size: int, threshold: float
    ) -> None:
        self.threads: list[threading.Thread] = []
        self._segmenter = segmenter
        self._with_cuda = segmenter.engine.device.type == "cuda"
        self._threshold = threshold
        self._stopped = False
        self._crash: BaseException | None = None

        # Between the stages.
        self._prefetch = Prefetch(segmenter, images, PLACES_A_BATCH * batch_size)
        self._places_of_logits: SimpleQueue[None] = SimpleQueue()
        self._ran: SimpleQueue[_Batch | None] = SimpleQueue()
        self._done: SimpleQueue[Picture | None] = SimpleQueue()
        for _ in range(_BATCHES_OF_LOGITS):
            self._places_of_logits.put(None)

        # Of the thread that runs the network.
        self._line = Line(batch_size)
        self._waiting: dict[int, Picture] = {}  # those in the line

        # Of the thread that finishes.
        self._side_stream: torch.cuda.Stream | None = None

        # Of the caller's thread.
        self._early: dict[int, Picture] = {}  # done before their turn
        self._progress: ItemProgress | None = None
        self._shown = ExitStack()

    @property
    def total(self) -> int | None:
        """How many pictures the iterable had, once it has ended."""
        return self._prefetch.total

    def start(self, progress: AbstractContextManager[ItemProgress], total: int | None) -> None:
        """Start the threads and show the progress.

        Args:
            progress: Entered now, left by ``stop``.
            total: The number of pictures, where it is known beforehand.
        """
        self._progress = self._shown.enter_context(progress)
        self._progress.start("Segmenting images", total)
        stages = [self._prefetch.prepare_one] * min(_MOST_PREPARERS, os.cpu_count() or 1)
        if self._with_cuda:
            stages += [self._run_one, self._finish_one]
        for stage in stages:
            name = f"kkg-{stage.__name__.strip('_').replace('_', '-')}"
            context = _same_gpu() if self._with_cuda else nullcontext()
            thread = threading.Thread(target=self._repeat, args=(stage, context), name=name, daemon=True)
            self.threads.append(thread)  # before it starts: Ctrl-C may come in between
            thread.start()

    def take(self, position: int) -> Picture | None:
        """Wait for a picture, on a processor by working for it, and give its place to another.

        Args:
            position: Each in its order, once.

        Returns:
            The picture with its result or its error; None where there are no more.
        """
        while position not in self._early:
            if self._crash is not None:
                raise self._crash
            if self._stopped or position == self.total:
                return None
            if not self._with_cuda:
                self._run_one()
                while not self._ran.empty():
                    self._finish_one()
            self._receive_done(_POLL_S if self._with_cuda else 0)
        self._prefetch.give_place()
        if self._progress is not None:
            self._progress.advance(1)
        return self._early.pop(position)

    def stop(self) -> None:
        """End the threads, and return when they have ended.

        A thread that waits for the caller's iterable can only end when that answers; after a second it is left
        to itself.
        """
        self._stopped = True
        self._prefetch.stop()
        queues: list[SimpleQueue[Any]] = [self._places_of_logits, self._ran, self._done]
        for queue in queues:
            queue.put(None)
        self._shown.close()
        if threading.current_thread() in self.threads:  # the garbage collector can run in any thread
            return
        patience_ends = time.monotonic() + _PATIENCE_AT_THE_END_S
        for thread in self.threads:
            while thread.is_alive():
                if time.monotonic() > patience_ends and self._prefetch.is_asked_by(thread):
                    break
                thread.join(_POLL_S)
        for queue in [self._prefetch.prepared, *queues]:  # a thread left to itself must not keep the memory
            while not queue.empty():
                queue.get_nowait()

    def _receive_done(self, timeout: float) -> None:
        with suppress(Empty):
            while picture := self._done.get(timeout=timeout):
                self._early[picture.position] = picture
                timeout = 0

    def _repeat(self, stage: Callable[[], bool], context: AbstractContextManager[object]) -> None:
        try:
            with context:
                while not self._stopped and stage():
                    pass
        except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
            self._crash = error
            self._prefetch.prepared.put(None)
            self._done.put(None)

    # --- run -----------------------------------------------------------------------------------------------

    def _run_one(self) -> bool:
        """Run a batch, or wait a moment for more pictures to make one of. False where all have been run."""
        batch = self._line.next_batch(more_to_come=self._more_to_come())
        if batch:
            self._run([self._waiting[position] for position in batch])
        elif self._line.reached == self._prefetch.total and not self._line:
            self._ran.put(None)
            return False
        else:
            self._receive_prepared()
        return True

    def _more_to_come(self) -> bool:
        """Whether pictures are being prepared, or the iterable may give some before long."""
        if self._prefetch.waiting_s() > _PATIENCE_S:
            return self._line.reached != self._prefetch.asked
        return self._line.reached != self._prefetch.total

    def _receive_prepared(self) -> None:
        with suppress(Empty):
            picture = self._prefetch.prepared.get(timeout=_POLL_S)
            if picture is None:
                return
            if picture.pixels is None:
                self._line.add(picture.position, None)
                self._done.put(picture)
            else:
                self._line.add(picture.position, picture.pixels.shape)
                self._waiting[picture.position] = picture

    def _run(self, pictures: list[Picture]) -> None:
        self._places_of_logits.get()
        if self._stopped:
            return
        try:
            pixels = np.stack([picture.pixels for picture in pictures if picture.pixels is not None])
            outputs = self._segmenter.run(torch.from_numpy(pixels))
        except Exception as error:  # noqa: BLE001 - it is raised when the result is asked for
            self._places_of_logits.put(None)
            if isinstance(error, DeviceError) and len(pictures) > 1:
                self._line.batch_size = len(pictures) // 2
                logger.warning("%s Going on with batches of %d.", error.what, self._line.batch_size)
                return
            for picture in pictures:
                picture.fail(error)
                self._done.put(picture)
        else:
            self._ran.put(_Batch(pictures, outputs, self._mark() if self._with_cuda else None))
        self._line.remove([picture.position for picture in pictures])
        for picture in pictures:
            picture.pixels = None
            del self._waiting[picture.position]

    def _mark(self) -> torch.cuda.Event | None:
        """An event that comes when the GPU has done all that it was given so far."""
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._segmenter.engine.device))
        return event

    # --- finish --------------------------------------------------------------------------------------------

    def _finish_one(self) -> bool:
        """Finish a batch. False where all have been finished."""
        if not self._finish(self._ran.get()):
            return False
        self._places_of_logits.put(None)  # nobody holds its logits any more
        return True

    def _finish(self, batch: _Batch | None) -> bool:
        if batch is None:
            return False
        class_logits, mask_logits = batch.outputs
        with self._beside(batch.ready, mask_logits.device):
            for place, picture in enumerate(batch.pictures):
                if self._stopped:
                    break
                try:
                    picture.result = self._segmenter.finish(
                        class_logits[place], mask_logits[place], picture.image_shape, self._threshold
                    )
                except Exception as error:  # noqa: BLE001 - it is raised when the result is asked for
                    picture.fail(error)
                self._done.put(picture)
        return True

    @contextmanager
    def _beside(self, ready: torch.cuda.Event | None, device: torch.device) -> Iterator[None]:
        """Let a GPU work beside the next batch: in the usual order, this would come after it."""
        if ready is None:
            yield
            return
        if self._side_stream is None:
            self._side_stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._side_stream.wait_event(ready)
        with torch.cuda.stream(self._side_stream):
            yield


def _same_gpu() -> AbstractContextManager[object]:
    """Let plain "cuda" mean in a new thread what it means in this one."""
    return torch.cuda.device(torch.cuda.current_device())
