import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kkg_area_detection.hub import staging as module
from kkg_area_detection.hub.journal import RangeRecord
from kkg_area_detection.hub.staging import open_staging

RECORD = RangeRecord("weights", '"e"', 0, 3, "CRC32", 0, (("00", 3),))


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return tmp_path / "staging"


def leave_behind(parent: Path, name: str = "large", *, record: bool = True) -> Path:
    """A download that fails and leaves something."""

    class FailedError(Exception):
        pass

    try:
        with open_staging(parent, name) as staging:
            (staging.files / "weights").write_bytes(b"abc")
            if record:
                staging.journal.add(RECORD)
            raise FailedError
    except FailedError:
        return staging.directory


def age(directory: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(directory / "journal", (moment, moment))


def own(directory: Path, **owner: object) -> None:
    (directory / "owner.json").write_text(json.dumps({**module._myself(), **owner}))


def dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_nothing_is_left_after_success(parent: Path) -> None:
    with open_staging(parent, "large") as staging:
        assert staging.leftovers == ()
        (staging.files / "weights").write_bytes(b"abc")
    assert not list(parent.iterdir())


def test_nothing_is_left_of_a_failure_that_wrote_nothing_worth_keeping(parent: Path) -> None:
    leave_behind(parent, record=False)
    assert not list(parent.iterdir())


def test_a_failure_is_taken_over_in_place(parent: Path) -> None:
    left = leave_behind(parent)
    assert left.exists()
    with open_staging(parent, "large") as staging:
        assert not left.exists()
        assert staging.leftovers == ((staging.files / "weights", RECORD),)
        assert (staging.files / "weights").read_bytes() == b"abc"


def test_a_killed_download_is_taken_over_in_place(parent: Path) -> None:
    left = leave_behind(parent)
    own(left, pid=dead_pid())
    with open_staging(parent, "large") as staging:
        assert staging.leftovers[0][0] == staging.files / "weights"


@pytest.mark.parametrize("owner", [{}, {"machine": "another", "pid": 1}, {"pid": "rubbish"}])
def test_a_running_download_is_left_alone(parent: Path, owner: dict[str, object]) -> None:
    left = leave_behind(parent)
    own(left, **owner)
    with open_staging(parent, "large") as staging:
        assert staging.leftovers == ()
    assert left.exists()


def test_a_stale_download_of_another_machine_is_copied_from(parent: Path) -> None:
    left = leave_behind(parent)
    own(left, machine="another")
    age(left, 300)
    with open_staging(parent, "large") as staging:
        assert staging.leftovers == ((left / "files" / "weights", RECORD),)
        assert not (staging.files / "weights").exists()
    assert left.exists()


def test_very_old_leftovers_are_removed(parent: Path) -> None:
    for name in ("large", "small"):
        left = leave_behind(parent, name)
        own(left, machine="another")
        age(left, 8 * 24 * 3600)
    with open_staging(parent, "large"):
        assert [path.name.partition("~")[0] for path in parent.iterdir()] == ["large"]


def test_other_models_are_left_alone(parent: Path) -> None:
    left = leave_behind(parent, "small")
    with open_staging(parent, "large") as staging:
        assert staging.leftovers == ()
    assert left.exists()


def test_one_leftover_is_adopted_and_the_rest_removed(parent: Path) -> None:
    first, second = parent / "large~1", parent / "large~2"
    for directory in (first, second):
        leave_behind(parent).rename(directory)
    with open_staging(parent, "large"):
        assert not first.exists()
        assert not second.exists()
    assert not list(parent.iterdir())


def test_the_heartbeat_shows_life(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    with open_staging(parent, "large") as staging:
        journal = staging.directory / "journal"
        os.utime(journal, (1, 1))
        deadline = time.monotonic() + 5
        while journal.stat().st_mtime < 1_000_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert journal.stat().st_mtime > 1_000_000


def test_processes() -> None:
    assert module._process_exists(os.getpid())
    assert not module._process_exists(dead_pid())
