"""Many random lives of a model cache. Slow: run by `make faults`."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.cache_machine import CacheMachine

pytestmark = pytest.mark.faults

PROFILE = settings(
    max_examples=3000,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_many_lives_of_a_cache(tmp_path: Path) -> None:
    run_state_machine_as_test(lambda: CacheMachine(tmp_path), settings=PROFILE)
