"""A whole run: it learns, and what it leaves behind can be used."""

import json
import multiprocessing
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import kkg_area_detection as kkg
from kkg_area_detection.errors import ImageError
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings, prepare
from kkg_area_detection.training import forward
from kkg_area_detection.training.augmentation import fitted
from kkg_area_detection.training.coco import CocoFolder
from kkg_area_detection.training.config import TrainConfig
from kkg_area_detection.training.data import StepImages, batches
from kkg_area_detection.training.losses import BatchTargets
from kkg_area_detection.training.run_folder import RunFolder
from kkg_area_detection.training.start import Wishes, train
from kkg_area_detection.training.trainer import Trainer, TrainingError, resolve_precision

from .conftest import drawing

CPU = torch.device("cpu")


def overfitted(config: TrainConfig, steps: int) -> tuple[Trainer, list[float]]:
    trainer = Trainer(replace(config, images=4 * steps), CPU)
    batch = StepImages(config)[0]
    return trainer, [trainer.step(trainer.schedule.step(number), batch).loss for number in range(steps)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_the_loss_falls_on_a_batch_that_is_seen_again_and_again(config, precision):
    _, losses = overfitted(replace(config, precision=precision), steps=60)
    assert losses[-1] < losses[0] / 3


def test_gradients_that_stay_infinite_end_the_run(config):
    trainer = Trainer(config, CPU)
    batch = StepImages(config)[0]
    with torch.no_grad():
        next(trainer.model.network.parameters()).fill_(float("nan"))
    step = trainer.schedule.step(0)
    for _ in range(50):
        trainer.step(step, batch)
    with pytest.raises(TrainingError, match="not finite"):
        trainer.step(step, batch)


def test_a_batch_without_any_segment_is_learned_from(config):
    trainer = Trainer(config, CPU)
    batch = StepImages(config)[0]
    empty = batch._replace(
        classes=[one[:0] for one in batch.classes], counts=[one[:0] for one in batch.counts]
    )
    losses = trainer.step(trainer.schedule.step(0), empty)
    assert np.isfinite(losses).all()
    assert losses.mask == losses.dice == 0


def test_the_drawings_are_looked_through_once(coco_folder, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(
        CocoFolder, "open", lambda *given, known=CocoFolder.open: opened.append(given) or known(*given)
    )
    fields = {"data": (str(coco_folder),), "mix": 1.0, "images": 4, "preset": "tiny", "workers": 0}
    wishes = Wishes(fields=tuple(fields.items()), size=64, batch=2, hours=None)
    assert train(tmp_path / "run", wishes, device="cpu").finished
    assert len(opened) == 1


def test_a_run_leaves_everything_behind(coco_folder, tmp_path):
    fields = {
        "data": (str(coco_folder),),
        "mix": 1.0,
        "preset": "tiny",
        "images": 80,
        "precision": "float32",
        "workers": 0,
        "validation_images": 2,
    }
    result = train(tmp_path / "run", Wishes(size=64, batch=2, fields=tuple(fields.items())), device="cpu")

    assert result.finished
    folder = RunFolder(tmp_path / "run")
    assert TrainConfig.load(folder.config).labels == ("room", "exwall")  # those of the drawings
    lines = folder.lines()
    parts = [line for line in lines if "loss" in line]
    assert {"step", "images", "classes", "mask", "dice", "pixels"} <= parts[-1].keys()
    assert lines[-1]["pq"].keys() == {"room", "exwall"}
    for name in ("curves.png", "samples.png"):
        with Image.open(folder.path / name) as picture:
            assert min(picture.size) >= 64
    card = (folder.model / "README.md").read_text()
    assert "room, exwall" in card
    assert "80 of 80" in card
    assert "1 of the same kind" in card  # one of the six is held out
    assert str(tmp_path) not in card

    kkg.initialize_model(model_path=folder.model, device="cpu", engine="native")
    segmentation = kkg.get_segmentation_result(Image.fromarray(drawing(0).image), threshold=0.0)
    assert segmentation["segmentation"].shape == (64, 64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float16, 0.1)])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 70)])
def test_the_exported_model_says_what_the_trained_one_said(config, tmp_path, height, width, dtype, tolerance):
    from kkg_area_detection.training.export import export_model

    trainer, _ = overfitted(config, steps=10)
    network = trainer.model.network.eval()
    export_model(network, trainer.model.settings, tmp_path / "model", size=64, dtype=dtype, card="")
    sample = drawing(1, height, width)

    settings = ProcessorSettings.from_directory(tmp_path / "model")
    pixels = torch.from_numpy(prepare(Image.fromarray(sample.image), settings))[None]
    engine = NativeEngine.load(tmp_path / "model", CPU)
    exported = engine.forward(pixels)
    assert engine.id2label == {0: "room", 1: "exwall"}

    seen = trainer.to_pixels(torch.from_numpy(fitted(sample, 64).image)[None])
    torch.testing.assert_close(seen, pixels, atol=0.02, rtol=0)  # what is trained on is what will be seen
    with torch.no_grad():
        trained = forward.run(network, pixels)
    torch.testing.assert_close(
        exported[0], trained.predictions[-1].class_logits, atol=tolerance, rtol=tolerance
    )
    torch.testing.assert_close(exported[1], trained.mask_logits(), atol=tolerance, rtol=tolerance)


def test_float16_weights_can_be_read_by_others(config, tmp_path):
    from kkg_area_detection.training.export import export_model

    trainer = Trainer(config, CPU)
    for _ in range(2):  # a directory that is there is replaced
        export_model(
            trainer.mean.model, trainer.model.settings, tmp_path / "m", size=64, dtype=torch.float16, card=""
        )
    assert not list(tmp_path.glob(".m*"))
    files = {path.name: path for path in (tmp_path / "m").iterdir()}
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    assert {path.stat().st_mode & 0o044 for path in files.values()} == {0o044}
    assert json.loads(files["config.json"].read_text())["dtype"] == "float16"


def test_batches_are_the_same_with_more_workers(config):
    images = StepImages(config)
    for alone, prepared in zip(batches(images, 3, 6, 0), batches(images, 3, 6, 2), strict=True):
        assert torch.equal(alone.images, prepared.images)
        for one, other in zip(alone.counts, prepared.counts, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named_and_no_process_is_left(config, coco_folder, tmp_path, workers):
    folder = tmp_path / "drawings"
    shutil.copytree(coco_folder, folder)
    for picture in (folder / "images").iterdir():
        picture.write_bytes(picture.read_bytes()[:120])  # its header is whole
    config = replace(config, data=(str(folder),), workers=workers)
    with pytest.raises(ImageError, match="cannot be decoded") as caught:
        list(batches(StepImages(config), 0, 4, workers))
    assert caught.value.next_step
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("changes", [{}, {"do_normalize": False}, {"do_rescale": False}])
def test_pixels_are_those_of_the_finished_model(config, changes):
    settings = ProcessorSettings(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), do_resize=False, **changes)
    trainer = Trainer(config, CPU)
    trainer.model = replace(trainer.model, settings=settings)
    image = drawing(0).image
    (ours,) = trainer.to_pixels(torch.from_numpy(image)[None])
    np.testing.assert_allclose(ours, prepare(Image.fromarray(image), settings), rtol=1e-4, atol=1e-5)


def test_targets_are_shares_of_cells(config):
    batch = StepImages(config)[0]
    targets = BatchTargets.of(batch.classes, batch.counts, CPU)
    assert all(0 <= one.min() <= one.max() <= 1 for one in targets.coverage)
    assert targets.coverage[0].shape[1] == batch.images.shape[1] // 4


def test_labels_of_a_model_may_be_in_another_language(config):
    one, other = (
        StepImages(replace(config, labels=labels))[0] for labels in (("room", "exwall"), ("部屋", "外壁"))
    )
    assert [classes.tolist() for classes in one.classes] == [classes.tolist() for classes in other.classes]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_precision_that_was_asked_for_is_used(precision):
    assert resolve_precision(precision, CPU) == precision


def test_progress_is_told_of_every_image(config, tmp_path):
    from kkg_area_detection.training.loop import run

    class Counting(SilentProgress):
        total = 0

        def advance(self, n: int) -> None:
            self.total += n

    progress = Counting()
    short = replace(config, images=8)
    folder = RunFolder(tmp_path / "run")
    folder.begin(short)
    run(short, folder, CPU, progress, lambda: False)
    assert progress.total == 8
