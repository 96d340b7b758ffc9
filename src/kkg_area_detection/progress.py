"""Progress of long steps: a bar on a terminal, a log line every few seconds elsewhere, or silence."""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import ProgressColumn

logger = logging.getLogger(__name__)

LOG_INTERVAL_S = 5.0


class ByteProgress(Protocol):
    """What a long transfer of bytes reports to. Called from several threads."""

    def start(self, description: str, total_bytes: int, /) -> None:
        """The transfer begins; its size is known now."""
        ...

    def advance(self, n_bytes: int, /) -> None:
        """``n_bytes`` more are done; negative where a broken file begins anew."""
        ...


class ItemProgress(Protocol):
    """What long work on many items reports to."""

    def start(self, description: str, total_items: int | None, /) -> None:
        """The work begins; None where nobody knows how many items there will be."""
        ...

    def advance(self, n_items: int, /) -> None:
        """``n_items`` more are done."""
        ...


class LiveProgress(ItemProgress, Protocol):
    """What work reports to that says on the way how it is going."""

    def describe(self, description: str, /) -> None:
        """Another description, from now on."""
        ...


class SilentProgress:
    """Says nothing."""

    def start(self, description: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, n: int) -> None:
        """Ignored."""

    def describe(self, description: str) -> None:
        """Ignored."""


class LogProgress:
    """Writes a log line every few seconds: for batch jobs, services and redirected output.

    Args:
        interval_s: Seconds between two lines.
        amount: Writes an amount, or an amount a second, for people: ``format_bytes`` or ``format_items``.
    """

    def __init__(
        self, interval_s: float = LOG_INTERVAL_S, amount: Callable[[float], str] | None = None
    ) -> None:
        self._interval_s = interval_s
        self._amount = amount or format_bytes
        self._lock = threading.Lock()
        self._description = self._of_total = ""
        self._done = 0
        self._began = self._next_line = 0.0

    def start(self, description: str, total: int | None) -> None:
        """Note the total and write the first line."""
        self._description, self._done = description, 0
        self._of_total = "" if total is None else f" of {self._amount(total)}"
        self._began = time.monotonic()
        self._next_line = self._began + self._interval_s
        logger.info("%s%s", description, "" if total is None else f": {self._amount(total)}")

    def describe(self, description: str) -> None:
        """Take another description for the lines to come."""
        self._description = description

    def advance(self, n: int) -> None:
        """Count, and write a line where one is due."""
        with self._lock:
            self._done += n
            now = time.monotonic()
            if now < self._next_line:
                return
            self._next_line = now + self._interval_s
            done, elapsed = self._done, now - self._began
        logger.info(
            "%s: %s%s, %s/s",
            self._description,
            self._amount(done),
            self._of_total,
            self._amount(done / elapsed),
        )


@contextmanager
def show_progress(enabled: bool | None = None) -> Iterator[ByteProgress]:
    """Choose how a transfer is shown.

    Args:
        enabled: True for a bar, False for silence, None for a bar on a terminal and in a notebook, and a log
            line every few seconds elsewhere.

    Yields:
        The sink to report to. The bar is drawn on standard error and removed at the end.
    """
    if enabled is False:
        yield SilentProgress()
    elif enabled or _people_watch():
        from rich.progress import DownloadColumn, TransferSpeedColumn

        with _bar(DownloadColumn(), TransferSpeedColumn()) as bar:
            yield bar
    else:
        yield LogProgress()


@contextmanager
def show_item_progress(enabled: bool | None = None) -> Iterator[LiveProgress]:
    """Choose how work on many items is shown; as ``show_progress``, with counts in the place of bytes.

    Args:
        enabled: As for ``show_progress``.

    Yields:
        The sink to report to.
    """
    if enabled is False:
        yield SilentProgress()
    elif enabled or _people_watch():
        from rich.progress import MofNCompleteColumn

        with _bar(MofNCompleteColumn()) as bar:
            yield bar
    else:
        yield LogProgress(amount=format_items)


def _people_watch() -> bool:
    return sys.stderr.isatty() or _in_notebook()


@contextmanager
def _bar(*amounts: ProgressColumn) -> Iterator[LiveProgress]:
    from rich import progress as rich_progress
    from rich.console import Console

    class Bar:
        def start(self, description: str, total: int | None) -> None:
            self._task = display.add_task(description, total=total)

        def advance(self, n: int) -> None:
            display.advance(self._task, n)

        def describe(self, description: str) -> None:
            display.update(self._task, description=description)

    with rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        *amounts,
        rich_progress.TimeRemainingColumn(),
        console=Console(stderr=not _in_notebook()),
        transient=True,
        # What is printed meanwhile goes above the bar; but never what goes into a file or a pipe.
        redirect_stdout=sys.stdout.isatty(),
    ) as display:
        yield Bar()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def format_bytes(n_bytes: float) -> str:
    """A size for people, in decimal units as disks and S3 count them.

    >>> format_bytes(872_415_232), format_bytes(512)
    ('872.4 MB', '512 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000 or unit == "GB":
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    raise AssertionError("unreachable")


def format_items(amount: float) -> str:
    """A count, or a rate to three digits, for people.

    >>> format_items(12000), format_items(2 / 3)
    ('12000', '0.667')
    """
    return str(amount) if isinstance(amount, int) else f"{amount:.3g}"
