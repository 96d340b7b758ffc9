import json
from dataclasses import replace

import pytest

from kkg_area_detection.errors import InvalidModelError, UsageError
from kkg_area_detection.training.config import Stage, TrainConfig, growing_stages
from kkg_area_detection.training.schedule import Schedule


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 0}, "0 images"),
        ({"stages": (Stage(100, 8, 1.0),)}, "100 pixels"),
        ({"stages": (Stage(32, 8, 1.0),)}, "32 pixels"),
        ({"stages": growing_stages(20, 8)}, "at 20 pixels"),
        ({"stages": (Stage(8192, 8, 1.0),)}, "8192 pixels"),
        ({"stages": (Stage(256, 0, 1.0),)}, "at least one picture"),
        ({"mix": 1.5}, "mix is 1.5"),
        ({"mix": float("nan")}, "mix is nan"),
        ({"labels": ()}, "labels"),
        ({"labels": ("room", "room")}, "labels"),
        ({"labels": ("room", "")}, "labels"),
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"preset": "huge"}, "no preset 'huge'"),
        ({"workers": -1}, "workers is -1"),
        ({"learning_rate": 0.0}, "learning rate is 0"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
    ],
)
def test_names_what_makes_no_sense(changes, message):
    with pytest.raises(UsageError, match=message):
        replace(TrainConfig(), **changes)


def test_is_read_as_it_was_written(tmp_path):
    config = TrainConfig(images=7, data=("a", "b"), category_labels=(("Zimmer", "room"),), start="x")
    config.save(tmp_path / "config.json")
    assert TrainConfig.load(tmp_path / "config.json") == config


@pytest.mark.parametrize("damage", [{"imagse": 5}, {"stages": 5}, {"stages": [[1]]}, {"loss": {"x": 1}}])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "config.json"
    TrainConfig().save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InvalidModelError, match=r"config\.json"):
        TrainConfig.load(path)


@pytest.mark.parametrize(
    ("size", "batch", "stages"),
    [
        (512, 8, [(256, 8), (384, 8), (512, 8)]),
        (64, 2, [(64, 2), (64, 2), (64, 2)]),
        (800, 4, [(384, 4), (608, 4), (800, 4)]),
    ],
)
def test_sizes_grow(size, batch, stages):
    assert [(stage.size, stage.batch) for stage in growing_stages(size, batch)] == stages
    assert sum(stage.share for stage in growing_stages(size, batch)) == pytest.approx(1)


def test_every_image_is_shown_once():
    schedule = Schedule(TrainConfig(images=1000, stages=growing_stages(512, 8)))
    steps = [schedule.step(number) for number in range(schedule.steps)]
    seen = [image for step in steps for image in step.images]
    assert seen == list(range(schedule.images))
    assert schedule.images == pytest.approx(1000, abs=16)
    assert sorted({step.stage.size for step in steps}) == [256, 384, 512]
    assert [step.stage.size for step in steps] == sorted(step.stage.size for step in steps)


@pytest.mark.parametrize(
    ("images", "rate"), [(8, 0.02), (400, 1.0), (5000, 0.535), (9992, 0.01)]
)  # warm-up ends at 400; then a cosine down to a hundredth
def test_the_learning_rate_rises_and_falls(images, rate):
    config = TrainConfig(images=10_000, stages=(Stage(256, 8, 1.0),), warm_up_images=400)
    schedule = Schedule(config)
    step = schedule.step(images // 8 - 1)
    assert schedule.learning_rate(step) == pytest.approx(
        config.learning_rate * rate, abs=config.learning_rate * 0.03
    )


@pytest.mark.parametrize("images", [1, 3, 20])
def test_the_shortest_run_has_a_step(images):
    assert Schedule(TrainConfig(images=images)).steps >= 1
