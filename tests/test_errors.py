import inspect
import pickle

import pytest

from kkg_area_detection import errors
from kkg_area_detection.errors import KkgAreaDetectionError

LEAVES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, KkgAreaDetectionError) and kind not in (KkgAreaDetectionError, errors.HubError)
]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_is_also_a_builtin(kind: type[KkgAreaDetectionError]) -> None:
    builtins = (ValueError, RuntimeError, OSError, ImportError)
    assert issubclass(kind, builtins)


@pytest.mark.parametrize("kind", LEAVES)
def test_three_parts_survive_a_process_pool(kind: type[KkgAreaDetectionError]) -> None:
    error = pickle.loads(pickle.dumps(kind("What.", cause="why.", next_step="do this.")))
    assert type(error) is kind
    assert str(error) == "What.\n  Likely cause: why.\n  Next step: do this."


def test_parts_that_are_not_there_leave_no_trace() -> None:
    assert str(KkgAreaDetectionError("What.")) == "What."
