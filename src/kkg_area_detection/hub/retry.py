"""When to try again, and how long to wait before."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from kkg_area_detection.errors import (
    EndpointError,
    ExpiredCredentialsError,
    HubError,
    IntegrityError,
    TransferError,
    UnexpectedReplyError,
)

logger = logging.getLogger(__name__)

ATTEMPTS = 8
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0

TRANSIENT = (EndpointError, IntegrityError, TransferError)

_T = TypeVar("_T")


class Renewable(Protocol):
    """Something whose credentials can be read anew."""

    generation: int

    def renew(self, generation: int) -> None:
        """Read the credentials anew, unless that was done since ``generation``."""
        ...


class Attempts:
    """Counts the failures of one piece of work and pauses between them.

    Args:
        source: Renewed once where credentials have expired.
        cancelled: Ends a pause early.
        limit: Attempts without progress.
    """

    def __init__(
        self, source: Renewable, cancelled: threading.Event | None = None, limit: int | None = None
    ) -> None:
        self._source = source
        self._cancelled = cancelled or threading.Event()
        self._limit = limit or ATTEMPTS
        self._failures = 0
        self._renewed = False
        self.generation = source.generation

    def progressed(self) -> None:
        """Bytes arrived: whatever failed before has passed."""
        self._failures = 0

    def after(self, error: HubError) -> None:
        """Pause, where another attempt makes sense.

        Raises:
            HubError: ``error`` itself, where it does not.
        """
        if isinstance(error, ExpiredCredentialsError) and not self._renewed:
            self._renewed = True
            logger.info("The credentials have expired; reading them anew.")
            self._source.renew(self.generation)
            self.generation = self._source.generation
            return
        # What does not fit the listing will not fit it later; a few attempts are for faults on the way.
        self._failures += 2 if isinstance(error, UnexpectedReplyError) else 1
        if not isinstance(error, TRANSIENT) or self._failures >= self._limit or self._cancelled.is_set():
            raise error
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        level = logging.WARNING if self._failures > 1 else logging.INFO
        logger.log(level, "%s Attempt %d of %d follows.", error.what, self._failures + 1, self._limit)
        self._cancelled.wait(pause)


def with_attempts(source: Renewable, call: Callable[[], _T], limit: int | None = None) -> _T:
    """Call until it succeeds, or until another attempt makes no sense.

    Raises:
        HubError: The last failure.
    """
    attempts = Attempts(source, limit=limit)
    while True:
        try:
            return call()
        except (ExpiredCredentialsError, *TRANSIENT) as error:
            attempts.after(error)
