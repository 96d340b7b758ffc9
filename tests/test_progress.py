import io
import logging
import sys
from typing import Any

import pytest

from kkg_area_detection import progress
from kkg_area_detection.progress import (
    LogProgress,
    SilentProgress,
    format_bytes,
    format_items,
    show_item_progress,
    show_progress,
)


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
    ("amount", "text"), [(0, "0"), (12000, "12000"), (2.0, "2"), (2.1251, "2.13"), (0.06667, "0.0667")]
)
def test_format_items(amount: float, text: str) -> None:
    assert format_items(amount) == text


@pytest.mark.parametrize("show", [show_progress, show_item_progress])
@pytest.mark.parametrize(
    ("enabled", "stream", "kind"),
    [
        (None, io.StringIO, "LogProgress"),
        (None, Terminal, "Bar"),
        (True, io.StringIO, "Bar"),
        (False, Terminal, "SilentProgress"),
    ],
)
def test_choice(
    monkeypatch: pytest.MonkeyPatch, enabled: bool | None, stream: Any, kind: str, show: Any
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    with show(enabled) as sink:
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


@pytest.mark.parametrize(("total", "shown"), [(300, "12/300"), (None, "12/?")])
def test_a_bar_of_items(monkeypatch: pytest.MonkeyPatch, total: int | None, shown: str) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with show_item_progress(None) as sink:
        sink.start("Segmenting images", total)
        sink.advance(12)
    assert "Segmenting images" in terminal.getvalue()
    assert shown in terminal.getvalue()


@pytest.mark.parametrize("redirected", [True, False])
def test_what_is_printed_below_a_bar(monkeypatch: pytest.MonkeyPatch, redirected: bool) -> None:
    """It is shown above the bar on a terminal, and stays out of it in a pipe."""
    terminal, output = Terminal(), io.StringIO() if redirected else Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setenv("TERM", "xterm")
    with show_item_progress(None) as sink:
        sink.start("Segmenting images", None)
        print("plan.png")
    assert (output.getvalue() == "plan.png\n") == redirected
    assert ("plan.png" in terminal.getvalue()) != redirected


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


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (300, ["Segmenting images: 300", "Segmenting images: 4 of 300, 0.667/s"]),
        (None, ["Segmenting images", "Segmenting images: 4, 0.667/s"]),
    ],
)
def test_log_lines_of_items(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, total: int | None, lines: list[str]
) -> None:
    clock = iter([100.0, 102.0, 106.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO), show_item_progress(None) as sink:
        sink.start("Segmenting images", total)
        sink.advance(3)
        sink.advance(1)
    assert [record.getMessage() for record in caplog.records] == lines


def test_silence(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        SilentProgress().start("x", 1)
        SilentProgress().advance(1)
    assert capsys.readouterr() == ("", "")
    assert not caplog.records
