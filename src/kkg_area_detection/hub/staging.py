"""Where downloads in progress live, and who owns them.

Each download writes into a directory of its own below ``.kkg/staging``. What a killed one left behind is taken
over by the next download of the same model:

* in place, by renaming the directory, where its owner is surely dead: same machine, and no such process;
* otherwise, once nobody has touched it for a while, by copying what can be verified. The owner may only be
  asleep, and must not be able to write into files that somebody else has verified.

Nothing here depends on locks: a rename has one winner, and two downloads never share a file.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kkg_area_detection.hub.journal import Journal, RangeRecord, read_journal

logger = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
STALE_AFTER_S = 60.0  # without a heartbeat
KEEP_LEFTOVERS_S = 7 * 24 * 3600.0

_JOURNAL = "journal"
_OWNER = "owner.json"
_FILES = "files"


@dataclass(frozen=True, slots=True)
class Staging:
    """A directory that this process alone writes to.

    Attributes:
        directory: Holds the rest, and may hold whatever else the download needs.
        files: Where the model's files are written.
        journal: Notes what is done.
        leftovers: Ranges of earlier downloads: file that holds them, and what its journal says. They are not
            verified yet.
    """

    directory: Path
    files: Path
    journal: Journal
    leftovers: tuple[tuple[Path, RangeRecord], ...]


@contextmanager
def open_staging(parent: Path, model_name: str) -> Iterator[Staging]:
    """A staging directory for a model, with what earlier downloads of it left behind.

    It is removed when the block ends well. Where the block raises, it stays for the next attempt, if anything
    in it is worth that.

    Args:
        parent: ``.kkg/staging``; created where it is not there.
        model_name: Downloads of other models are left alone.
    """
    parent.mkdir(parents=True, exist_ok=True)
    mine = parent / f"{model_name}~{uuid.uuid4().hex[:12]}"
    leftovers = list(_claim(parent, model_name, mine))
    mine.mkdir(exist_ok=True)
    (mine / _FILES).mkdir(exist_ok=True)
    (mine / _OWNER).write_text(json.dumps(_myself()), encoding="utf-8")
    journal = Journal(mine / _JOURNAL)
    journal.begin({"model": model_name})
    try:
        with _heartbeat(journal):
            yield Staging(mine, mine / _FILES, journal, tuple(leftovers))
    except BaseException:
        if any(True for _ in _records(mine)):
            (mine / _OWNER).write_text(json.dumps({"released": True}), encoding="utf-8")
        else:
            discard(mine)
        raise
    discard(mine)


def _claim(parent: Path, model_name: str, mine: Path) -> Iterator[tuple[Path, RangeRecord]]:
    """Take over one dead download in place and offer what stale ones hold; discard what is very old."""
    adopted = False
    for left in sorted(parent.glob("*~*"), key=_last_sign_of_life, reverse=True):
        age = time.time() - _last_sign_of_life(left)
        dead = _is_dead(left)
        if left.name.rpartition("~")[0] != model_name:
            if (dead or age > STALE_AFTER_S) and age > KEEP_LEFTOVERS_S:
                discard(left)
        elif dead and not adopted:
            with suppress(OSError):  # another process was faster
                left.rename(mine)
                adopted = True
                yield from _records(mine)
        elif dead or age > KEEP_LEFTOVERS_S:
            discard(left)
        elif age > STALE_AFTER_S:
            yield from _records(left)


def _records(directory: Path) -> Iterator[tuple[Path, RangeRecord]]:
    for record in read_journal(directory / _JOURNAL)[1]:
        yield directory / _FILES / record.path, record


def discard(directory: Path) -> None:
    """Remove a directory, out of everybody's sight first."""
    grave = directory.with_name(f"removed-{uuid.uuid4().hex[:12]}")
    with suppress(OSError):
        directory.rename(grave)
        if grave.is_symlink() or not grave.is_dir():
            grave.unlink()
            return
        shutil.rmtree(grave, ignore_errors=True)


def abandoned(parent: Path) -> Iterator[Path]:
    """What nobody works on any more: dead or stale downloads, and directories on their way out."""
    for left in parent.iterdir() if parent.is_dir() else ():
        stale = time.time() - _last_sign_of_life(left) > STALE_AFTER_S
        if "~" not in left.name or _is_dead(left) or stale:
            yield left


def _last_sign_of_life(directory: Path) -> float:
    for path in (directory / _JOURNAL, directory):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


@contextmanager
def _heartbeat(journal: Journal) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            with suppress(OSError):
                journal.touch()

    threading.Thread(target=beat, name="kkg-heartbeat", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


# --- who is alive ------------------------------------------------------------------------------------------


def _myself() -> dict[str, str | int]:
    return {"machine": _machine(), "pid": os.getpid()}


def _machine() -> str:
    """This machine, until it is restarted; containers with process tables of their own are machines too."""
    parts = [platform.node(), str(uuid.getnode())]
    for path in (Path("/proc/sys/kernel/random/boot_id"),):
        with suppress(OSError):
            parts.append(path.read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - it is no path
    return " ".join(parts)


def _is_dead(directory: Path) -> bool:
    """Whether the owner surely lives no more; False where that cannot be known."""
    try:
        owner = json.loads((directory / _OWNER).read_text(encoding="utf-8"))
        if owner.get("released"):
            return True
        return bool(owner["machine"] == _machine()) and not _process_exists(int(owner["pid"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return False


def _process_exists(pid: int) -> bool:
    if os.name == "nt":
        return _windows_process_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _windows_process_exists(pid: int) -> bool:
    import ctypes

    query_limited_information, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return False
    try:
        status = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(status))
        return status.value == still_active
    finally:
        kernel.CloseHandle(handle)
