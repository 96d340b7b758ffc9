"""OpenVINO, imported in such a way that it reports to nobody, and the one ``openvino.Core`` of this process.

``import openvino`` alone sends an event to a public analytics service, unless the package that does so is not
installed (https://docs.openvino.ai, "OpenVINO Telemetry"). Here it looks as if it were not.

On processors with AMX a core gives its thread another stack for signals, and puts back what it found when it goes.
If two cores go in the order they came, that is the stack of the first, which is no longer there: the next signal,
be it a Ctrl-C, kills the process without a word (OpenVINO 2026.4.1 on Linux). So there is one core, and it stays.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    if _TELEMETRY in sys.modules:  # somebody uses it already; that is for them to decide
        yield
        return
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment] # this is how Python marks what must not be imported
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]


with _without_telemetry():
    import openvino
    import openvino.opset15 as ops

core = openvino.Core()

__all__ = ["core", "openvino", "ops"]
