"""A few lives of a model cache, the same in every run; `make faults` lives many more."""

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.cache_machine import CacheMachine

PROFILE = settings(
    max_examples=200,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_a_few_lives_of_a_cache(tmp_path: Path) -> None:
    run_state_machine_as_test(lambda: CacheMachine(tmp_path), settings=PROFILE)
