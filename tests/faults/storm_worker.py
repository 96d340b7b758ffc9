"""A process that calls `resolve_model` again and again: a request a line in, an outcome a line out, as JSON.

A request is the environment to set. Started by `storm.py`, which kills it when it hangs.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import logging
import os
import pkgutil
import sys
import traceback

from kkg_area_detection import hub
from kkg_area_detection.errors import KkgAreaDetectionError
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress

TELL_AFTER_S = 55.0  # shortly before storm.py kills us


def main(constants: dict[str, float]) -> None:
    logging.disable()
    set_constants(constants)
    for line in sys.stdin:
        os.environ.update(json.loads(line))
        faulthandler.dump_traceback_later(TELL_AFTER_S)  # where a hang hangs, on standard error
        outcome = fetch()
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(outcome), flush=True)


def set_constants(constants: dict[str, float]) -> None:
    """Give the hub's constants of these names other values, in every module that knows them."""
    for info in pkgutil.iter_modules(hub.__path__, f"{hub.__name__}."):
        module = importlib.import_module(info.name)
        for name in constants.keys() & vars(module).keys():
            setattr(module, name, constants[name])


def fetch() -> dict[str, str]:
    try:
        return {"directory": str(resolve_model(None, "large", SilentProgress()))}
    except KkgAreaDetectionError as error:
        return {"error": f"{type(error).__name__}: {error.what}", "next_step": error.next_step}
    except BaseException as error:  # noqa: BLE001 - what it was is for the other side to judge
        traceback.print_exc()
        return {"foreign": repr(error)}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
