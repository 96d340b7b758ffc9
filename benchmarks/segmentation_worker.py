"""The processes that `segmentation.py` measures: one program for each side, as its user would write it.

    python benchmarks/segmentation_worker.py '{"side": "ours", "began": ..., "model": ..., ...}'

Writes one JSON object to standard output. A stage begins where the one before ended; the first begins when the
process was started.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import forget_peak, peak_resident_bytes

THRESHOLD = 0.5


class Clock:
    """Seconds, processor seconds and peak memory in bytes of one stage after the other."""

    def __init__(self, began: float) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._wall, self._cpu = began, 0.0

    def end(self, stage: str) -> None:
        """Note what a stage took."""
        wall, cpu = time.monotonic(), time.process_time()
        self.stages[stage] = {
            "wall": wall - self._wall,
            "cpu": cpu - self._cpu,
            "peak": peak_resident_bytes(),
        }
        forget_peak()
        self._wall, self._cpu = time.monotonic(), time.process_time()


def main() -> None:
    order = json.loads(sys.argv[1])
    clock = Clock(order["began"])
    keep_to_processors(order["threads"])
    be_killed_first()
    side = {"theirs": run_theirs, "ours": run_ours}[order["side"]]
    answer = side(order, clock)
    print(json.dumps({"stages": clock.stages} | answer))


def keep_to_processors(number: int) -> None:
    """Stay on so many processors: engines have thread pools of several kinds. Not possible on every system."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])


def be_killed_first() -> None:
    """Where memory runs out, no other program of this machine shall suffer."""
    adjustment = Path("/proc/self/oom_score_adj")
    if adjustment.exists():
        adjustment.write_text("1000")


def run_theirs(order: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """Plain transformers."""
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, Mask2FormerForUniversalSegmentation

    clock.end("import")
    processor = AutoImageProcessor.from_pretrained(order["model"], backend="pil")
    network = Mask2FormerForUniversalSegmentation.from_pretrained(order["model"], dtype=torch.float32).eval()
    clock.end("load")
    if order["picture"] is None:
        return {}
    image = Image.open(order["picture"]).convert("RGB")
    inputs = processor(images=image, return_tensors="pt")
    clock.end("prepare")
    with torch.inference_mode():
        outputs = network(**inputs)
    clock.end("forward")
    result = processor.post_process_instance_segmentation(
        outputs, threshold=THRESHOLD, target_sizes=[(image.height, image.width)]
    )[0]
    clock.end("post-process")
    return answer_of(result, order)


def run_ours(order: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """This library."""
    from kkg_area_detection import get_segmentation_result, initialize_model

    clock.end("import")
    initialize_model(model_path=order["model"], device="cpu", progress=False, **order["choice"])
    clock.end("load")
    if order["picture"] is None:
        return {}
    finishes = watch_stages(clock)
    result = get_segmentation_result(order["picture"], threshold=THRESHOLD)
    segmentation = result["segmentation"]
    clock.end("post-process")
    extra = rise_of_peak(lambda: finishes[-1]()["segmentation"]) - segmentation.nbytes
    return answer_of(result, order) | {"beyond_map": extra}


def watch_stages(clock: Clock) -> list[Callable[[], Any]]:
    """Let the clock see where the network begins and ends.

    Returns:
        A list, which every post-processing will join, as a call that repeats it.
    """
    from kkg_area_detection.segmentation.segmenter import Segmenter

    run, finish = Segmenter.run, Segmenter.finish
    finishes: list[Callable[[], Any]] = []

    def watched_run(*arguments: Any) -> Any:
        clock.end("prepare")
        outputs = run(*arguments)
        clock.end("forward")
        return outputs

    def watched_finish(*arguments: Any) -> Any:
        finishes.append(lambda: finish(*arguments))
        return finish(*arguments)

    Segmenter.run, Segmenter.finish = watched_run, watched_finish  # type: ignore[method-assign]
    return finishes


def rise_of_peak(call: Callable[[], Any]) -> int:
    """By how many bytes a call raises the resident size, at most, from where it stands."""
    trim_heap()
    forget_peak()
    before = peak_resident_bytes()
    call()
    return peak_resident_bytes() - before


def trim_heap() -> None:
    """Give freed memory back, else a call could use it again and would seem to need none."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def answer_of(result: Any, order: dict[str, Any]) -> dict[str, Any]:
    """What was found; the map goes into a file, if one is named."""
    if order["map"]:
        import numpy as np

        np.save(order["map"], result["segmentation"].numpy().astype(np.int32))
    return {"labels": [segment["label_id"] for segment in result["segments_info"]]}


if __name__ == "__main__":
    main()
