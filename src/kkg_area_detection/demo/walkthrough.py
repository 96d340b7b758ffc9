"""What ``kkg demo`` does: the user's own commands, in processes of their own, against a real S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kkg_area_detection.api import demo_model_path
from kkg_area_detection.areas.output import prepare_directory
from kkg_area_detection.demo.local_s3 import LocalS3, LocalS3Error, local_s3, plain_environment
from kkg_area_detection.documents import find_image
from kkg_area_detection.errors import KkgAreaDetectionError

Say = Callable[[str], None]
MODEL_NAME = "demo"
PLAN_WITH_SCALE = "house-ja"
FORMATS = "png,svg,dxf,geojson,csv,xlsx"


class DemoError(KkgAreaDetectionError, RuntimeError):
    """A step of the demonstration failed."""


def run_demo(images: Sequence[Path], output: Path, say: Say) -> None:
    """Fetch the bundled model from a local S3 server, detect areas, and do it again from the cache.

    Args:
        images: Drawings; none means the sample plans.
        output: Directory for pictures and files; results of earlier runs in it are overwritten, and
            nothing else in it is touched.
        say: Where lines for the reader go.

    Raises:
        ImageError: A drawing is not there.
        OutputError: The output directory cannot be written.
        DemoError: A step failed; what it printed says why.
    """
    plans = [find_image(image).absolute() for image in images] or sample_plans()
    prepare_directory(output)
    detect = ["detect", *map(str, plans), "--output", str(output.absolute()), "--force", "--format", FORMATS]
    by_name = [*detect, "--model-name", MODEL_NAME]
    with _workplace() as work:
        try:
            say("Starting a local S3 server (SeaweedFS) ...")
            with local_s3() as server:
                server.upload(demo_model_path(), f"models/{MODEL_NAME}/")
                settings = user_settings(server, work / "model_cache")
                say(
                    f"The bundled model is at s3://{server.bucket}/models/{MODEL_NAME}/ on {server.endpoint}.\n"
                )
                first = _run(by_name, work, settings, "First run: the model comes from S3.", say)
        except LocalS3Error as error:
            say(f"{error}\nGoing on without it: the model is loaded from the package's own directory.\n")
            local = [*detect, "--model-path", str(demo_model_path())]
            _run(local, work, {}, "Run from a local directory.", say)
        else:
            second = _run(
                by_name, work, settings, "Second run: the server is stopped; the model is cached.", say
            )
            say(f"First run, from S3: {first:.1f} s. Second run, from the cache: {second:.1f} s.\n")
            if not images:
                with_scale = [*_on_scale(plans, output), "--model-name", MODEL_NAME]
                _run(with_scale, work, settings, "With the scale of the drawing: square metres.", say)
    say(f"Look at {output}{os.sep}: pictures for the eye, DXF for CAD, CSV and XLSX for spreadsheets.")


def _on_scale(plans: Sequence[Path], output: Path) -> list[str]:
    """The command for the sample plan whose title says 1/100, and whose file says the resolution."""
    plan = next(plan for plan in plans if plan.stem == PLAN_WITH_SCALE)
    options = ["--scale", "1/100", "--output", str(output.absolute()), "--force", "--format", FORMATS]
    return ["detect", str(plan), *options]


@contextmanager
def _workplace() -> Iterator[Path]:
    """A working directory for the commands and the model cache, away from the reader's own files."""
    with tempfile.TemporaryDirectory(prefix="kkg-demo-", ignore_cleanup_errors=True) as temporary:
        work = Path(temporary).resolve()
        (work / ".env").touch()  # the search for settings goes upwards, and ends at the first such file
        yield work


def sample_plans() -> list[Path]:
    """The sample plans: beside this module in a wheel, in ``examples/plans`` in a source tree."""
    here = Path(__file__).resolve()
    for directory in (here.parent / "plans", here.parents[3] / "examples" / "plans"):
        if plans := sorted(directory.glob("*.png")):
            return plans
    raise DemoError("The sample plans are not installed.", next_step="pass a drawing: kkg demo plan.png")


def user_settings(server: LocalS3, cache: Path) -> dict[str, str]:
    """The variables a user would write into ``.env``."""
    return {
        **server.reader.environment(),
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "S3_BUCKET_NAME": server.bucket,
        "S3_MODEL_KEY": "models/{model_name}/",
        "MODEL_CACHE_DIR": str(cache),
    }


def _run(arguments: list[str], work: Path, settings: Mapping[str, str], title: str, say: Say) -> float:
    """Run ``kkg`` in a process of its own, with no settings but these; return the seconds it took."""
    say(f"== {title}")
    say(f"$ kkg {' '.join(arguments)}")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kkg_area_detection", *arguments],
        env={**plain_environment(), **settings},
        cwd=work,
        check=False,
    )
    if done.returncode:
        raise DemoError(f"The command ended with status {done.returncode}; its message is above.")
    return time.perf_counter() - began
