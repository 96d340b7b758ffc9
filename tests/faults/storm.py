"""Trials of the hub behind a fault-injecting front: run one in a real process, judge what it left.

A trial downloads a model once into a fresh cache. It ends

* ``RIGHT``: the published directory is, byte for byte, one generation of what was uploaded;
* ``ERROR``: one of our errors, with a next step, and nothing visible in the cache;
* anything else is a defect of the hub.

A trial that ends in an error is followed by a second call without faults, which must end right: what a failed
download leaves behind must never be in the way of the next.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kkg_area_detection.demo.local_s3 import LocalS3
from tests.conftest import safetensors_bytes, write_tiny_model
from tests.faults.fault_front import FAULTS, Counts, FaultFront, Pattern, Schedule

HANG_AFTER_S = 60.0
GIVE_UP_AFTER_HANGS = 3
SHOWN_DETAILS = 3
# Two cores would be enough, were it not for the waiting that most faults consist of.
WORKERS = 8
# What the hub waits in seconds, we wait in fractions; and a few megabytes shall have many ranges.
CONSTANTS = {
    "READ_TIMEOUT_S": 1.0,
    "FIRST_PAUSE_S": 0.02,
    "LONGEST_PAUSE_S": 0.3,
    "SLOW_WINDOW_S": 2.0,
    "REPLY_DEADLINE_S": 3.0,
    "RANGE_BYTES": 1 << 18,
}
SMALL_WEIGHTS = (100_000, 700_000, 3_000_000)
LARGE_WEIGHTS = 20_000_000  # boto3 uploads it in three parts

Digests = dict[str, str]


class Outcome(enum.StrEnum):
    """How a trial ended."""

    RIGHT = "right"
    ERROR = "clean error"
    WRONG = "wrong bytes"
    HANG = "hangs"
    LEFT_OVER = "left-overs"
    FOREIGN = "foreign"
    NOT_PASSED = "not passed"
    NOT_HEALED = "not healed"


GOOD = (Outcome.RIGHT, Outcome.ERROR)


# --- what is downloaded -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Model:
    """A model in S3, and the generations of it that were or will be uploaded."""

    key: str
    generations: tuple[Digests, ...]
    upload_next: Callable[[], None] = lambda: None


def digests(directory: Path) -> Digests:
    """SHA-256 of every file below a directory, by relative path."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def write_model(directory: Path, weights: int, *, mark: int) -> Path:
    """Three files; those of two marks differ in every file and not in size."""
    write_tiny_model(directory)
    (directory / "config.json").write_text(json.dumps({"model_type": "mask2former", "mark": mark}))
    (directory / "preprocessor_config.json").write_text(json.dumps({"mark": mark}))
    (directory / "model.safetensors").write_bytes(safetensors_bytes(os.urandom(weights)))
    return directory


class Shelf:
    """Models on the server, for many trials to share.

    Args:
        server: The server.
        directory: Where to write them first.
    """

    def __init__(self, server: LocalS3, directory: Path) -> None:
        self.server = server
        self.admin = server.client(server.admin)
        self._sources = {
            weights: [write_model(directory / f"{weights}-{mark}", weights, mark=mark) for mark in (1, 2)]
            for weights in (*SMALL_WEIGHTS, LARGE_WEIGHTS)
        }
        self._shared = {weights: self.fresh(weights) for weights in self._sources}

    def shared(self, weights: int) -> Model:
        """A model that must not be changed."""
        return self._shared[weights]

    def fresh(self, weights: int) -> Model:
        """A model of the trial's own, which may be replaced."""
        prefix = f"{uuid.uuid4().hex}/"
        sources = self._sources[weights]
        following = itertools.cycle(sources)

        def upload_next() -> None:
            source = next(following)
            for path in sorted(source.iterdir()):
                self.admin.upload_file(str(path), self.server.bucket, prefix + path.name)

        upload_next()
        return Model(prefix, tuple(digests(source) for source in sources), upload_next)


# --- who downloads ------------------------------------------------------------------------------------------


class Worker:
    """A process that calls ``resolve_model`` whenever it is told to.

    Args:
        launcher: A command that runs the one that follows it, such as ``nice``.
    """

    def __init__(self, launcher: Sequence[str] = ()) -> None:
        script = Path(__file__).with_name("storm_worker.py")
        self._command = [*launcher, sys.executable, str(script), json.dumps(CONSTANTS)]
        self._process: subprocess.Popen[str] | None = None

    def call(self, environment: dict[str, str]) -> dict[str, str] | None:
        """Have it set its environment and fetch; None where it hung and was killed."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        hung = threading.Event()
        timer = threading.Timer(HANG_AFTER_S, lambda: (hung.set(), process.kill()))
        timer.start()
        try:
            process.stdin.write(json.dumps(environment) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            return dict(json.loads(line))
        self.stop()
        return None if hung.is_set() else {"foreign": "the process died"}

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        return self._process


@contextmanager
def workers(count: int = WORKERS) -> Iterator[queue.SimpleQueue[Worker]]:
    """Processes to take from a queue and to put back."""
    everyone = [Worker() for _ in range(count)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in everyone:
        idle.put(worker)
    try:
        yield idle
    finally:
        for worker in everyone:
            worker.stop()


# --- one trial ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try. Equal trials do the same, but for the order in which the hub's threads ask."""

    fault: str
    pattern: Pattern
    seed: int
    weights: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a trial ended. ``counts`` are the front's."""

    trial: Trial
    outcome: Outcome
    detail: str
    counts: Counts


def run_trial(trial: Trial, shelf: Shelf, worker: Worker, cache: Path) -> Verdict:
    """Download once under a fault, judge, and where it ended in an error download again without one."""
    fault = FAULTS[trial.fault]
    model = shelf.fresh(trial.weights) if trial.fault == "replaced" else shelf.shared(trial.weights)
    outcome, detail, counts = attempt(model, Schedule(fault, trial.pattern, trial.seed), shelf, worker, cache)
    if outcome is Outcome.ERROR:
        if counts.injected == 0 or (trial.pattern is Pattern.ONCE and fault.passes):
            outcome = Outcome.NOT_PASSED
        else:
            healed, heal_detail, _ = attempt(model, Schedule(), shelf, worker, cache)
            if healed is not Outcome.RIGHT:
                outcome, detail = Outcome.NOT_HEALED, f"{detail}; then {healed}: {heal_detail}"
    shutil.rmtree(cache, ignore_errors=True)
    return Verdict(trial, outcome, detail, counts)


def attempt(
    model: Model, schedule: Schedule, shelf: Shelf, worker: Worker, cache: Path
) -> tuple[Outcome, str, Counts]:
    """Download once through a front; how it ended, what was said, what was served."""
    front = FaultFront(shelf.server, schedule, admin=shelf.admin, upload=model.upload_next)
    with front:
        answer = worker.call(environment(model, front.endpoint, cache))
    outcome, detail = judge(answer, cache, model.generations)
    return outcome, detail, front.counts


def environment(model: Model, endpoint: str, cache: Path) -> dict[str, str]:
    """The variables that make ``resolve_model(None, "large", ...)`` fetch this model."""
    return {"AWS_ENDPOINT_URL_S3": endpoint, "S3_MODEL_KEY": model.key, "MODEL_CACHE_DIR": str(cache)}


def judge(answer: dict[str, str] | None, cache: Path, generations: Iterable[Digests]) -> tuple[Outcome, str]:
    """Look at what the process said and at what is in its cache."""
    visible = sorted(path.name for path in cache.iterdir()) if cache.exists() else []
    visible = [name for name in visible if name != ".kkg"]
    target = cache / "large"
    if target.is_dir() and digests(target) not in generations:
        return Outcome.WRONG, f"{answer}: {digests(target)}"
    if answer is None:
        return Outcome.HANG, f"no answer after {HANG_AFTER_S:.0f} s"
    if "foreign" in answer:
        return Outcome.FOREIGN, answer["foreign"]
    if "directory" in answer:
        if visible != ["large"] or answer["directory"] != str(target):
            return Outcome.LEFT_OVER, f"{answer['directory']}: {visible}"
        return Outcome.RIGHT, ""
    if visible:
        return Outcome.LEFT_OVER, f"{answer['error']}: {visible}"
    if not answer["next_step"]:
        return Outcome.FOREIGN, f"no next step: {answer['error']}"
    return Outcome.ERROR, answer["error"]


# --- many trials --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Tally:
    """What became of the trials of one fault."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    struck: int = 0
    details: list[str] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one trial."""
        self.outcomes[verdict.outcome] += 1
        self.struck += verdict.counts.injected > 0
        if verdict.outcome not in GOOD:
            trial = verdict.trial
            self.details.append(f"{verdict.outcome}: {trial}: {verdict.detail}")

    @property
    def is_good(self) -> bool:
        """Whether every trial ended right or in a clean error."""
        return not set(self.outcomes) - set(GOOD)


def run_trials(trials: Iterable[Trial], shelf: Shelf, directory: Path) -> dict[str, Tally]:
    """Run trials, several at a time. A fault that made the hub hang a few times is left alone after that."""
    tallies = {name: Tally() for name in FAULTS}
    counting = threading.Lock()

    with workers() as idle, ThreadPoolExecutor(WORKERS) as pool:

        def run(trial: Trial) -> None:
            tally = tallies[trial.fault]
            if tally.outcomes[Outcome.HANG] >= GIVE_UP_AFTER_HANGS:
                return
            worker = idle.get()
            try:
                verdict = run_trial(trial, shelf, worker, directory / uuid.uuid4().hex)
            finally:
                idle.put(worker)
            with counting:
                tally.add(verdict)

        list(pool.map(run, trials))  # raises what a trial raised
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    """The outcomes, one fault a line, and below them what the bad ones said."""
    lines = [f"{'fault':18}{'trials':>8}{'struck':>8}" + "".join(f"{outcome:>13}" for outcome in Outcome)]
    total = Tally()
    for name, tally in tallies.items():
        lines.append(_line(name, tally))
        total.outcomes += tally.outcomes
        total.struck += tally.struck
    lines.append(_line("all", total))
    lines += [detail for tally in tallies.values() for detail in tally.details[:SHOWN_DETAILS]]
    return "\n".join(lines)


def _line(name: str, tally: Tally) -> str:
    cells = "".join(f"{tally.outcomes[outcome]:13}" for outcome in Outcome)
    return f"{name:18}{tally.outcomes.total():8}{tally.struck:8}{cells}"
