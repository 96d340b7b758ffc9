"""What a run begins with: from nothing, or from a directory with other labels."""

from dataclasses import replace

import pytest
import torch

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError
from kkg_area_detection.training.export import export_model
from kkg_area_detection.training.model import make_model

HEAD = "class_predictor.weight"


@pytest.fixture
def directory(config, tmp_path):
    """A model for rooms and outer walls."""
    model = make_model(config)
    export_model(
        model.network, model.settings, tmp_path / "start", size=64, dtype=torch.float32, card="A test's."
    )
    return tmp_path / "start"


def test_the_seed_decides_the_weights(config):
    one, same, other = (
        make_model(replace(config, seed=seed)).network.state_dict()[HEAD] for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("labels", "rows"),  # which row of the old head (room, exwall, no object) each new one is
    [
        (("room", "exwall"), [0, 1, 2]),
        (("exwall", "room"), [1, 0, 2]),
        (("door", "room", "stairs"), [None, 0, None, 2]),
        (("bedroom",), [None, 2]),
        (("外壁", "部屋"), [1, 0, 2]),  # the same in another language
    ],
)
def test_labels_of_the_same_name_keep_what_they_learned(config, directory, labels, rows):
    start = make_model(config).network.state_dict()
    model = make_model(replace(config, start=str(directory), labels=labels, seed=5)).network
    tensors = model.state_dict()
    assert model.config.id2label == dict(enumerate(labels))
    for row, old in enumerate(rows):
        if old is not None:
            assert torch.equal(tensors[HEAD][row], start[HEAD][old])
        else:
            assert not any(torch.equal(tensors[HEAD][row], one) for one in start[HEAD])
    for name, tensor in tensors.items():
        if not name.startswith(("class_predictor", "criterion")):
            assert torch.equal(tensor, start[name]), name


def test_a_directory_keeps_its_own_pixels(config, directory, edit_json):
    edit_json(directory / "preprocessor_config.json", image_mean=[0.4, 0.5, 0.6])
    assert make_model(replace(config, start=str(directory))).settings.mean == (0.4, 0.5, 0.6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pre_norm": True}, "pre_norm is True"),
        ({"activation_function": "gelu"}, "activation_function"),
        ({"common_stride": 8}, "common_stride"),
        ({"num_queries": 7}, r"queries_\w+.*is \(20, 32\), not \(7, 32\)"),
        ({"decoder_layers": 4}, "weights lack"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(config, directory, edit_json, changes, message):
    edit_json(directory / "config.json", **changes)
    with pytest.raises(InvalidModelError, match=message):
        make_model(replace(config, start=str(directory)))


def test_no_model(config, tmp_path):
    with pytest.raises(ModelNotFoundError):
        make_model(replace(config, start=str(tmp_path / "none")))
