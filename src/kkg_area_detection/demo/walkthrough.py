"""What ``kkg demo`` does: the user's own commands, in processes of their own, against a real S3 server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kkg_area_detection.api import demo_model_path
from kkg_area_detection.demo.local_s3 import LocalS3, LocalS3Error, local_s3
from kkg_area_detection.errors import KkgAreaDetectionError

Say = Callable[[str], None]
MODEL_NAME = "demo"


class DemoError(KkgAreaDetectionError, RuntimeError):
    """A step of the demonstration failed."""


def run_demo(images: Sequence[Path], output: Path, say: Say) -> None:
    """Fetch the bundled model from a local S3 server, segment drawings, and do it again from the cache.

    Args:
        images: Drawings; none means the sample plans.
        output: Directory for pictures, JSON files and the model cache; results of earlier runs in it are
            overwritten.
        say: Where lines for the reader go.

    Raises:
        DemoError: A step failed; what it printed says why.
    """
    plans = list(images) or sample_plans()
    cache = output / "model_cache"
    shutil.rmtree(cache, ignore_errors=True)  # so that the first run really fetches
    output.mkdir(parents=True, exist_ok=True)
    segment = ["segment", *map(str, plans), "--output", str(output), "--force"]
    by_name = [*segment, "--model-name", MODEL_NAME]
    try:
        say("Starting a local S3 server (SeaweedFS) ...")
        with local_s3() as server:
            server.upload(demo_model_path(), f"models/{MODEL_NAME}/")
            environment = user_environment(server, cache)
            say(f"The bundled model is at s3://{server.bucket}/models/{MODEL_NAME}/ on {server.endpoint}.\n")
            first = _run(by_name, environment, "First run: the model comes from S3.", say)
    except LocalS3Error as error:
        say(f"{error}\nGoing on without it: the model is loaded from the package's own directory.\n")
        _run([*segment, "--model-path", str(demo_model_path())], {}, "Run from a local directory.", say)
    else:
        second = _run(by_name, environment, "Second run: the server is stopped; the model is cached.", say)
        say(f"First run, from S3: {first:.1f} s. Second run, from the cache: {second:.1f} s.")
    say(f"Look at the pictures in {output}{os.sep}: rooms, walls and doors are coloured.")


def sample_plans() -> list[Path]:
    """The sample plans: beside this module in a wheel, in ``examples/plans`` in a source tree."""
    here = Path(__file__).resolve()
    for directory in (here.parent / "plans", here.parents[3] / "examples" / "plans"):
        if plans := sorted(directory.glob("*.png")):
            return plans
    raise DemoError("The sample plans are not installed.", next_step="pass a drawing: kkg demo plan.png")


def user_environment(server: LocalS3, cache: Path) -> dict[str, str]:
    """The variables a user would write into ``.env``."""
    return {
        **server.reader.environment(),
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "S3_BUCKET_NAME": server.bucket,
        "S3_MODEL_KEY": "models/{model_name}/",
        "MODEL_CACHE_DIR": str(cache),
    }


def _run(arguments: list[str], environment: Mapping[str, str], title: str, say: Say) -> float:
    """Run ``kkg`` in a process of its own; return the seconds it took."""
    say(f"== {title}")
    say(f"$ kkg {' '.join(arguments)}")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kkg_area_detection", *arguments],
        env={**_without_aws(os.environ), **environment},
        check=False,
    )
    if done.returncode:
        raise DemoError(f"The command ended with status {done.returncode}; its message is above.")
    return time.perf_counter() - began


def _without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """The reader's own AWS settings must not leak into the demonstration."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}
