"""Drawings that a small network learns within seconds, as a COCO folder."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kkg_area_detection.training.coco import write_coco_folder
from kkg_area_detection.training.config import Stage, TrainConfig
from kkg_area_detection.training.samples import Sample


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Networks this small gain nothing by a second thread, and lose much where another process wants the core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawing(seed: int, height: int = 64, width: int = 64) -> Sample:
    """One light room on the left of a dark wall, and one on its right."""
    rng = np.random.default_rng(seed)
    wall = int(rng.integers(width // 3, 2 * width // 3))
    ids = np.zeros((height, width), np.uint16)
    ids[8:-8, 8:wall] = 1
    ids[8:-8, wall : wall + 8] = 2
    ids[8:-8, wall + 8 : -8] = 3
    colours = np.array([(250, 250, 250), (200, 220, 240), (20, 20, 20), (200, 220, 240)], np.uint8)
    return Sample(colours[ids], ids, ("room", "exwall", "room"), f"drawing {seed}")


@pytest.fixture(scope="session")
def coco_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coco") / "drawings"
    write_coco_folder((drawing(seed) for seed in range(6)), folder)
    return folder


@pytest.fixture(scope="session")
def config(coco_folder) -> TrainConfig:
    """A run of 24 steps on nothing but the drawings."""
    return replace(
        TrainConfig(),
        images=96,
        stages=(Stage(64, 4, 1.0),),
        labels=("room", "exwall"),
        preset="tiny",
        data=(str(coco_folder),),
        mix=1.0,
        precision="float32",
        learning_rate=4e-3,
        warm_up_images=8,
        ema_images=16,
        validation_images=2,
        validation_every=48,
        workers=0,
    )


@pytest.fixture
def edit_json():
    """Change top-level fields of a JSON file."""

    def edit(path: Path, **changes: object) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit
