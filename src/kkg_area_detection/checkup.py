"""A check-up: small checks that run one after another, and what each of them found.

The hub and the segmentation have checks of their own; ``kkg doctor`` runs both lists. A check is a function that
returns a finding or raises: whatever it raises becomes a failure, never a crash, and what depends on it is
skipped. Time-outs hold even where a library underneath has none (DNS, sign-in helpers, network drives).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from kkg_area_detection.errors import KkgAreaDetectionError

Status = Literal["ok", "warning", "failure", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: Name of the check.
        status: ``failure`` stands in the way, ``warning`` does not.
        detail: What was found; may have several lines.
        next_step: What to do about a warning or failure; empty otherwise.
    """

    name: str
    status: Status
    detail: str
    next_step: str = ""


def ok(detail: str) -> Finding:
    """All is well."""
    return Finding("", "ok", detail)


def warning(detail: str, next_step: str) -> Finding:
    """Works, but should be looked at."""
    return Finding("", "warning", detail, next_step)


def failure(detail: str, next_step: str) -> Finding:
    """Does not work."""
    return Finding("", "failure", detail, next_step)


def skipped(detail: str) -> Finding:
    """Could not be told, or does not apply."""
    return Finding("", "skipped", detail)


NO_ANSWER = failure("no answer in time.", "look for a disk or network drive that hangs.")


@dataclass(frozen=True, slots=True)
class Check:
    """One question.

    Attributes:
        name: Short name, unique in its list.
        run: Answers it. The name of the finding is filled in by ``examine``.
        needs: Names of checks that must have come out ok or with a warning.
        limit_s: Longest time it may take; None for what only computes, and runs in the calling thread.
        if_slow: The finding where it takes longer.
    """

    name: str
    run: Callable[[], Finding]
    needs: tuple[str, ...] = ()
    limit_s: float | None = 5.0
    if_slow: Finding = NO_ANSWER


def examine(
    checks: Iterable[Check],
    *,
    budget_s: float,
    on_start: Callable[[str], None] = lambda _name: None,
    conceal: Callable[[str], str] = str,
) -> Iterator[Finding]:
    """Run the checks in their order.

    Args:
        checks: The checks; those that are needed come before those that need them.
        budget_s: Longest time for all checks with a ``limit_s`` together.
        on_start: Called with the name of a check before it runs.
        conceal: Takes secrets out of a text. Applied to everything that is found.

    Yields:
        One finding a check.
    """
    deadline = time.monotonic() + budget_s
    stopped: set[str] = set()
    for check in checks:
        obstacle = next((name for name in check.needs if name in stopped), None)
        if obstacle is not None:
            finding = skipped(f"needs {obstacle!r}, see above.")
        else:
            on_start(check.name)
            finding = _answer(check, deadline - time.monotonic())
        if finding.status in ("failure", "skipped"):
            stopped.add(check.name)
        yield Finding(check.name, finding.status, conceal(finding.detail), conceal(finding.next_step))


def first_step(findings: Iterable[Finding]) -> str | None:
    """What to do first: the next step of the first failure. None where nothing failed."""
    return next((one.next_step for one in findings if one.status == "failure"), None)


def explained(error: KkgAreaDetectionError) -> Finding:
    """The failure that an error of our tree stands for."""
    detail = f"{error.what}\nLikely cause: {error.cause}" if error.cause else error.what
    return failure(detail, error.next_step or "mend it, then run kkg doctor again.")


def _answer(check: Check, remaining_s: float) -> Finding:
    try:
        if check.limit_s is None:
            return check.run()
        return _within(check.run, min(check.limit_s, max(remaining_s, 0.1)))
    except TimeoutError:
        return check.if_slow
    except KkgAreaDetectionError as error:
        return explained(error)
    except Exception as error:  # noqa: BLE001 - a doctor that crashes helps nobody
        return failure(
            f"the check broke off: {type(error).__name__}: {error}",
            "if the text does not explain itself, report it with the output of kkg doctor --json.",
        )


def _within(run: Callable[[], Finding], limit_s: float) -> Finding:
    """Run in a thread that may be left behind: nothing else ends a name look-up that hangs."""
    answers: queue.SimpleQueue[Finding | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(run())
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            answers.put(error)

    threading.Thread(target=work, name="kkg-check", daemon=True).start()
    try:
        answer = answers.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer
