"""Names and shapes of the weights against the network, without reading the weights."""

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.weights_check import check_weights_fit

WEIGHTS = "model.safetensors"
FIRST = "class_predictor.bias"


def change_weights(directory, change):
    weights = load_file(directory / WEIGHTS)
    change(weights)
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def remove(*names):
    return lambda weights: [weights.pop(name) for name in names]


def replace(name, shape):
    return lambda weights: weights.update({name: torch.zeros(shape)})


@pytest.mark.usefixtures("no_network")
def test_sound_models(pristine_swin_model, demo_model):
    check_weights_fit(pristine_swin_model)
    check_weights_fit(demo_model)  # stored as float16


@pytest.mark.usefixtures("no_network")
def test_shards(swin_model):
    weights = load_file(swin_model / WEIGHTS)
    (swin_model / WEIGHTS).unlink()
    weight_map = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(weights)}
    for part in set(weight_map.values()):
        tensors = {name: weights[name] for name in weights if weight_map[name] == part}
        save_file(tensors, swin_model / part, metadata={"format": "pt"})
    index = swin_model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    check_weights_fit(swin_model)

    save_file({"other": torch.zeros(1)}, swin_model / "part-1.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidModelError, match="lack"):
        check_weights_fit(swin_model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove(FIRST), rf"lack {FIRST} \(1 in all\)"),
        (remove(FIRST, "class_predictor.weight"), rf"lack {FIRST}, class_predictor\.weight \(2 in all\)"),
        (lambda weights: (weights.clear(), weights.update(x=torch.zeros(1))), r"and \d+ more \(of \d+\)"),
        (replace(FIRST, 7), rf"{FIRST} \(7,\) instead of \(4,\)"),
        (replace("class_predictor.weight", (4, 17)), r"\(4, 17\) instead of \(4, 16\)"),
    ],
)
def test_misfits_are_named_as_they_are_when_the_model_is_loaded(swin_model, change, words):
    change_weights(swin_model, change)
    with pytest.raises(InvalidModelError, match=words) as caught:
        check_weights_fit(swin_model)
    with pytest.raises(InvalidModelError) as at_load:
        ReferenceEngine.load(swin_model, torch.device("cpu"))
    assert str(caught.value) == str(at_load.value)


def test_labels_of_another_training(swin_model, edit_json):
    labels = {"0": "room", "1": "door"}
    edit_json(swin_model / "config.json", id2label=labels, label2id={"room": 0, "door": 1})
    with pytest.raises(InvalidModelError, match="class_predictor") as caught:
        check_weights_fit(swin_model)
    assert "other shapes" in caught.value.what
    assert "different labels" in caught.value.cause


def test_tensors_that_the_model_does_not_use_are_reported(swin_model, caplog):
    change_weights(swin_model, replace("optimizer.step", 1))
    with caplog.at_level(logging.WARNING, logger="kkg_area_detection"):
        check_weights_fit(swin_model)
    assert "optimizer.step" in caplog.text


def test_the_weights_are_not_read(swin_model):
    """Only the header is there; the rest is a hole in the file, larger than any machine's memory."""
    path = swin_model / WEIGHTS
    shape = [1 << 20, 1 << 20]  # 4 TB
    header = json.dumps({FIRST: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 << 40]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with path.open("r+b") as file:
        try:
            file.truncate(8 + len(header) + (4 << 40))
        except OSError:
            pytest.skip("no sparse files of this size here")
    with pytest.raises(InvalidModelError, match="lack"):
        check_weights_fit(swin_model)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "maskformer"}, "'maskformer'"),
        ({"num_attention_heads": 3}, "cannot load"),
        ({"backbone_config": None}, "backbone_config"),
    ],
)
def test_unusable_configuration(swin_model, edit_json, changes, words):
    edit_json(swin_model / "config.json", **changes)
    with pytest.raises(InvalidModelError, match=words):
        check_weights_fit(swin_model)


def test_damaged_header(swin_model):
    """The load gate checks offsets; what a tensor says of itself is for the real parser."""
    header = json.dumps({FIRST: {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (swin_model / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InvalidModelError, match=r"header of .*model\.safetensors cannot be read"):
        check_weights_fit(swin_model)


def test_no_directory(tmp_path):
    with pytest.raises(ModelNotFoundError):
        check_weights_fit(tmp_path / "nowhere")
