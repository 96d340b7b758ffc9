"""Runs a server for as long as somebody wants it, and clears up after it. A program of its own.

Whoever starts it holds the other end of its standard input. When that end is closed, on purpose or because its
holder was killed (by ``kill -9``, by a closed terminal, for want of memory), the server is killed and its files are
removed. Works on every system, and needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import glob
import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main() -> int:
    """Run the job that the first argument describes in JSON.

    Its fields: ``command``; ``log``, where the command's output goes; ``directory``, removed when the server is no
    longer wanted; ``leftovers``, patterns of files elsewhere that are removed whenever the command ends.

    Returns:
        Exit status of the command.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows a Ctrl-C reaches everyone at the console
    job = json.loads(sys.argv[1])
    with Path(job["log"]).open("wb") as sink:
        server = subprocess.Popen(
            job["command"],
            cwd=job["directory"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    no_longer_wanted = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(server, no_longer_wanted), daemon=True).start()
    status = server.wait()
    for leftover in (path for pattern in job["leftovers"] for path in glob.glob(pattern)):  # noqa: PTH207
        with contextlib.suppress(OSError):
            Path(leftover).unlink()
    if no_longer_wanted.is_set():  # else somebody is there who wants to read the log
        shutil.rmtree(job["directory"], ignore_errors=True)
    return status


def _wait_for_the_end(server: subprocess.Popen[bytes], no_longer_wanted: threading.Event) -> None:
    sys.stdin.buffer.read()
    no_longer_wanted.set()
    server.kill()  # told politely SeaweedFS lingers for many seconds, and its data goes anyway


if __name__ == "__main__":
    sys.exit(main())
