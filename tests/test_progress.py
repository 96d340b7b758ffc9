import io
import logging
import sys
from typing import Any

import pytest

from kkg_area_detection import progress
from kkg_area_detection.progress import LogProgress, SilentProgress, format_bytes, show_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (872_415_232, "872.4 MB"),
        (5e12, "5000.0 GB"),
        (-2e3, "-2.0 kB"),
    ],
)
def test_format_bytes(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("enabled", "stream", "kind"),
    [
        (None, io.StringIO, "LogProgress"),
        (None, Terminal, "Bar"),
        (True, io.StringIO, "Bar"),
        (False, Terminal, "SilentProgress"),
    ],
)
def test_choice(monkeypatch: pytest.MonkeyPatch, enabled: bool | None, stream: Any, kind: str) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    with show_progress(enabled) as sink:
        assert type(sink).__name__ == kind
        sink.start("Fetching", 10)
        sink.advance(10)


def test_a_notebook_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    with show_progress(None) as sink:
        assert type(sink).__name__ == "Bar"


def test_bar_is_drawn_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(None) as sink:
        sink.start("Fetching model 'large'", 4_000_000)
        sink.advance(4_000_000)
    assert "Fetching model" in terminal.getvalue()
    assert "4.0/4.0" in terminal.getvalue()


def test_log_lines_come_every_few_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([100.0, 101.0, 104.0, 106.0, 107.0, 112.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    sink = LogProgress(interval_s=5)
    with caplog.at_level(logging.INFO):
        sink.start("Fetching", 4_000_000)
        for _ in range(5):
            sink.advance(500_000)
    assert [record.getMessage() for record in caplog.records] == [
        "Fetching: 4.0 MB",
        "Fetching: 1.5 MB of 4.0 MB, 250.0 kB/s",
        "Fetching: 2.5 MB of 4.0 MB, 208.3 kB/s",
    ]


def test_silence(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        SilentProgress().start("x", 1)
        SilentProgress().advance(1)
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
