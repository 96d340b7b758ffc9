import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError, UsageError
from kkg_area_detection.segmentation.engines import reference, selection
from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.engines.selection import EngineChoice, load_engine

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"


def load(directory, engine="auto", precision="auto"):
    return load_engine(directory, CPU, EngineChoice(engine, precision), None)


def change_weights(directory, change):
    weights = load_file(directory / WEIGHTS)
    change(weights)
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


@pytest.fixture
def log(caplog):
    """What is logged about engines, from INFO upwards."""
    for logger in (selection.logger, reference.logger):
        caplog.set_level(logging.INFO, logger.name)
    return caplog


# --- what is asked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        (None, None, EngineChoice("auto", "auto")),
        ("", "", EngineChoice("auto", "auto")),
        ("native", "bfloat16", EngineChoice("native", "bfloat16")),
        (" Native\n", "FLOAT16", EngineChoice("native", "float16")),
        ("reference", "auto", EngineChoice("reference", "auto")),
        ("reference", "float32", EngineChoice("reference", "float32")),
    ],
)
def test_names(engine, precision, expected):
    assert EngineChoice.parse(engine, precision) == expected


@pytest.mark.parametrize(
    ("engine", "precision", "words"),
    [
        ("natvie", "auto", r"no engine 'natvie'(.|\n)*auto, native, openvino, reference"),
        ("transformers", "auto", "no engine 'transformers'"),
        ("auto", "fp16", r"no precision 'fp16'(.|\n)*auto, float32, bfloat16, float16"),
        ("auto", "half", "no precision 'half'"),
        ("reference", "bfloat16", "does not run in bfloat16"),
        ("reference", "float16", "does not run in float16"),
    ],
)
def test_typos(engine, precision, words):
    with pytest.raises(UsageError, match=words):
        EngineChoice.parse(engine, precision)


# --- what runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "expected"),
    [("auto", NativeEngine), ("native", NativeEngine), ("reference", ReferenceEngine)],
)
def test_a_known_model(demo_model, log, engine, expected):
    assert type(load(demo_model, engine)) is expected
    assert not log.messages


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ],
)
def test_precision(demo_model, precision, expected):
    engine = load(demo_model, "native", precision)
    assert engine._network.get_parameter("transformer_decoder.class_predictor.weight").dtype == expected


def unused_tensor(directory, edit_json):
    change_weights(directory, lambda weights: weights.update(extra=torch.zeros(1)))


def names_of_transformers_5(directory, edit_json):
    """``save_file(model.state_dict())`` instead of ``save_pretrained``."""
    change_weights(
        directory,
        lambda weights: weights.update(
            {name.replace(".intermediate.dense.", ".mlp.fc1."): weights.pop(name) for name in list(weights)}
        ),
    )


def patches_as_a_list(directory, edit_json):
    path = directory / "config.json"
    backbone = json.loads(path.read_text())["backbone_config"] | {"patch_size": [4, 4]}
    edit_json(path, backbone_config=backbone)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (unused_tensor, "its weights hold extra"),
        (names_of_transformers_5, "its weights lack backbone"),
        (patches_as_a_list, r"its patch_size is \[4, 4\]"),
    ],
)
def test_what_native_does_not_know(swin_model, edit_json, log, change, reason):
    change(swin_model, edit_json)
    assert type(load(swin_model)) is ReferenceEngine
    (line,) = [record for record in log.records if record.name == selection.logger.name]
    assert line.levelno == logging.INFO
    assert line.message.startswith(f"The native engine does not know this model ({reason[:10]}")
    assert line.message.endswith("; transformers runs it in float32.")
    with pytest.raises(UsageError, match=f"The native engine cannot run the model in .*: {reason}"):
        load(swin_model, "native")


# --- what is no model --------------------------------------------------------------------------------------


def truncate(directory, edit_json):
    content = (directory / WEIGHTS).read_bytes()
    (directory / WEIGHTS).write_bytes(content[: len(content) // 2])


def contradict(directory, edit_json):
    """A header that the load gate lets pass: it does not multiply shapes."""
    content = (directory / WEIGHTS).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["class_predictor.bias"]["shape"] = [5]
    text = json.dumps(header).encode()
    (directory / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def drop(directory, edit_json):
    change_weights(directory, lambda weights: weights.pop("class_predictor.bias"))


def other_labels(directory, edit_json):
    edit_json(directory / "config.json", id2label={"0": "a"}, label2id=None)


def remove_weights(directory, edit_json):
    (directory / WEIGHTS).unlink()


def garbled_config(directory, edit_json):
    (directory / "config.json").write_text("{")


def field(**changes):
    return lambda directory, edit_json: edit_json(directory / "config.json", **changes)


def backbone_field(**changes):
    def change(directory, edit_json):
        path = directory / "config.json"
        edit_json(path, backbone_config=json.loads(path.read_text())["backbone_config"] | changes)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        contradict,
        drop,
        other_labels,
        remove_weights,
        garbled_config,
        field(model_type="maskformer"),
        field(backbone_config=None),
        field(backbone_config={"model_type": "no-such-backbone"}),
        field(num_queries="five"),
        field(num_queries=10**30),
        field(num_attention_heads=0),
        field(num_attention_heads=3),
        field(hidden_dim=None),
        backbone_field(window_size=-4),
        backbone_field(embed_dim=-8),
        backbone_field(embed_dim=10**12),
        backbone_field(mlp_ratio=float("inf")),
        backbone_field(mlp_ratio=float("nan")),
        backbone_field(num_heads=[1, 1, 2, 0]),
        backbone_field(out_indices=[0, 1, 2, 3]),
    ],
)
def test_damaged_models_fail_as_with_the_reference_engine(swin_model, edit_json, damage):
    damage(swin_model, edit_json)
    with pytest.raises(InvalidModelError) as expected:
        load(swin_model, "reference")
    with pytest.raises(InvalidModelError) as found:
        load(swin_model)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("engine", ["auto", "native", "reference"])
def test_no_model_at_all(tmp_path, engine):
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere", engine)


def test_labels_that_are_none(swin_model, edit_json):
    edit_json(swin_model / "config.json", id2label=[1])
    for engine in ("auto", "native", "reference"):
        with pytest.raises(InvalidModelError, match=r"config\.json"):
            load(swin_model, engine)
