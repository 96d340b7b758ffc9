"""Progress of long steps: a bar on a terminal, a log line every few seconds elsewhere, or silence."""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

LOG_INTERVAL_S = 5.0


class ByteProgress(Protocol):
    """What a long transfer of bytes reports to. Called from several threads."""

    def start(self, description: str, total_bytes: int) -> None:
        """The transfer begins; its size is known now."""
        ...

    def advance(self, n_bytes: int) -> None:
        """``n_bytes`` more are done; negative where a broken file begins anew."""
        ...


class SilentProgress:
    """Says nothing."""

    def start(self, description: str, total_bytes: int) -> None:
        """Ignored."""

    def advance(self, n_bytes: int) -> None:
        """Ignored."""


class LogProgress:
    """Writes a log line every few seconds: for batch jobs, services and redirected output."""

    def __init__(self, interval_s: float = LOG_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._description = ""
        self._done = self._total = 0
        self._began = self._next_line = 0.0

    def start(self, description: str, total_bytes: int) -> None:
        """Note the size and write the first line."""
        self._description, self._total, self._done = description, total_bytes, 0
        self._began = time.monotonic()
        self._next_line = self._began + self._interval_s
        logger.info("%s: %s", description, format_bytes(total_bytes))

    def advance(self, n_bytes: int) -> None:
        """Count, and write a line where one is due."""
        with self._lock:
            self._done += n_bytes
            now = time.monotonic()
            if now < self._next_line:
                return
            self._next_line = now + self._interval_s
            done, elapsed = self._done, now - self._began
        logger.info(
            "%s: %s of %s, %s/s",
            self._description,
            format_bytes(done),
            format_bytes(self._total),
            format_bytes(int(done / elapsed)),
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
    elif enabled or sys.stderr.isatty() or _in_notebook():
        with _bar() as bar:
            yield bar
    else:
        yield LogProgress()


@contextmanager
def _bar() -> Iterator[ByteProgress]:
    from rich import progress as rich_progress
    from rich.console import Console

    class Bar:
        def start(self, description: str, total_bytes: int) -> None:
            self._task = display.add_task(description, total=total_bytes)

        def advance(self, n_bytes: int) -> None:
            display.advance(self._task, n_bytes)

    with rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
        console=Console(stderr=not _in_notebook()),
        transient=True,
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
