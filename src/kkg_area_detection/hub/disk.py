"""How much room there is, and what a full disk says."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kkg_area_detection.errors import DiskFullError

_DISK_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows knows no EDQUOT


def free_bytes(directory: Path) -> int:
    """Bytes that are free for us on the disk of a directory."""
    return shutil.disk_usage(directory).free


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk into ours; leave others alone.

    Raises:
        DiskFullError: The disk filled up, or a quota was reached.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise DiskFullError(
            f"The disk filled up while writing {path}.",
            cause="something else used the space that was free when the download began, or a quota.",
            next_step="free some space, or set MODEL_CACHE_DIR to a larger disk.",
        ) from error
