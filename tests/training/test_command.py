"""``kkg train`` as people type it."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kkg_area_detection.cli.train import train
from kkg_area_detection.errors import KkgAreaDetectionError
from kkg_area_detection.model_directory import check_model_directory

TINY = ("--preset", "tiny", "--size", "64", "--batch", "2", "--workers", "0", "--device", "cpu")


def kkg_train(*arguments: object) -> str:
    """What the command says; its error is raised."""
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_trains_and_then_has_nothing_left_to_do(coco_folder, tmp_path):
    command = (tmp_path / "run", "--data", coco_folder, "--mix", 1, "--images", 40, *TINY)
    said = kkg_train(*command)
    assert "Trained on 40 images" in said
    assert str(tmp_path / "run" / "model") in said
    before = metrics(tmp_path / "run")
    for again in (command, (tmp_path / "run", "--device", "cpu")):
        assert "Trained on 40 images" in kkg_train(*again)
        assert metrics(tmp_path / "run") == before


def test_goes_on_from_a_model_with_other_labels(coco_folder, tmp_path):
    kkg_train(tmp_path / "first", "--data", coco_folder, "--mix", 1, "--images", 8, *TINY)
    tiny = [word for word in TINY if word not in ("--preset", "tiny")]
    said = kkg_train(
        tmp_path / "second", "--from", tmp_path / "first" / "model", "--data", coco_folder, "--mix", 1,
        "--category", "exwall=wall", "--images", 8, *tiny,
    )  # fmt: skip
    assert "Trained on 8 images" in said
    model = tmp_path / "second" / "model"
    check_model_directory(model)
    assert json.loads((model / "config.json").read_text())["id2label"] == {"0": "room", "1": "wall"}
    assert "`model`" in (model / "README.md").read_text()


def test_a_run_needs_the_model_that_it_began_with_no_more(coco_folder, tmp_path):
    kkg_train(tmp_path / "first", "--data", coco_folder, "--mix", 1, "--images", 8, *TINY)
    tiny = [word for word in TINY if word not in ("--preset", "tiny")]
    command = (tmp_path / "second", "--data", coco_folder, "--mix", 1, "--images", 8, *tiny)
    kkg_train(*command, "--from", tmp_path / "first" / "model")
    shutil.rmtree(tmp_path / "first")
    assert "Trained on 8 images" in kkg_train(*command)


def test_hours_become_images(coco_folder, tmp_path):
    kkg_train(tmp_path / "run", "--data", coco_folder, "--mix", 1, "--hours", 0.0005, *TINY)
    images = json.loads((tmp_path / "run" / "config.json").read_text())["images"]
    assert 1 <= images < 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mix", 0.5), "--mix"),
        (("--from", "x/y", "--preset", "tiny"), "own network"),
        (("--data", "none"), "There is no folder"),
        (("--category", "room", "--data", "none"), "NAME=LABEL"),
        (("--images", 5, "--hours", 1), "Both"),
        (("--hours", -1), "-1.0 hours"),
        (("--size", 100), "multiples of 32"),
        (("--preset", "huge"), "no preset 'huge'"),
        (("--precision", "int8"), "precision"),
        (("--device", "tpu"), "no device 'tpu'"),
        (("--from", "./none"), "no model directory"),
        (("--labels", "room,room"), "labels"),
        (("--images", 0), "trains nothing"),
        (("--labels", "romo"), "nothing to learn 'romo' from"),
        (("--category", "Zimmer=room"), "category 'Zimmer'"),
        (("--seed", -1), "seed is -1"),
        (("--batch", 0), "at least one picture"),
        (("--size", 0), "at 0 pixels"),
    ],
)
def test_says_what_is_wrong_and_leaves_nothing(tmp_path, arguments, message):
    with pytest.raises(KkgAreaDetectionError, match=message):
        kkg_train(tmp_path / "run", "--workers", "0", *arguments)
    assert not (tmp_path / "run" / "config.json").exists()


def test_other_folders_are_not_touched(coco_folder, tmp_path):
    with pytest.raises(KkgAreaDetectionError, match="holds no run"):
        kkg_train(coco_folder, "--data", coco_folder, "--mix", 1, "--images", 8, *TINY)
