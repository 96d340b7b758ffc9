import json
import logging

import pytest
import torch
import transformers.utils.logging as transformers_logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors.torch import load_file, save_file

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError
from kkg_area_detection.segmentation.engines import reference
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"


def load(directory):
    return ReferenceEngine.load(directory, CPU)


def change_weights(directory, change):
    weights = load_file(directory / WEIGHTS)
    change(weights)
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})


def split_into_shards(directory):
    weights = load_file(directory / WEIGHTS)
    (directory / WEIGHTS).unlink()
    weight_map = {}
    for number, shard in enumerate([sorted(weights)[::2], sorted(weights)[1::2]], start=1):
        name = f"model-{number:05}-of-00002.safetensors"
        save_file({key: weights[key] for key in shard}, directory / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, name)
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.usefixtures("no_network")
def test_outputs_are_those_of_transformers(pristine_swin_model, monkeypatch):
    from transformers import Mask2FormerForUniversalSegmentation
    from transformers.models.mask2former import modeling_mask2former

    monkeypatch.setattr(modeling_mask2former, "requires_backends", lambda *_: None)
    original = Mask2FormerForUniversalSegmentation.from_pretrained(pristine_swin_model).eval()
    engine = load(pristine_swin_model)
    pixels = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    outputs = engine.forward(pixels)
    with torch.no_grad():
        expected = original(pixel_values=pixels)
    assert outputs.class_logits.shape == (2, 5, 4)
    assert outputs.mask_logits.shape == (2, 5, 16, 24)
    assert torch.equal(outputs.class_logits, expected.class_queries_logits)
    assert torch.equal(outputs.mask_logits, expected.masks_queries_logits)
    assert outputs.mask_logits.is_contiguous()
    assert not outputs.mask_logits.requires_grad


@pytest.mark.usefixtures("no_network")
def test_demo_model(demo_model):
    engine = load(demo_model)
    assert engine.id2label == {0: "room", 1: "exwall", 2: "inwall", 3: "door", 4: "window"}
    assert engine.device == CPU
    assert {tensor.dtype for tensor in engine._network.parameters()} == {torch.float32}  # stored as float16


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"1": "room", "2": "exwall", "3": "inwall"}, {0: "LABEL_0", 1: "room", 2: "exwall"}),
        ({"0": "room", "2": "door", "7": "other"}, {0: "room", 1: "LABEL_1", 2: "door"}),
    ],
)
def test_every_class_has_a_label(swin_model, edit_json, labels, expected):
    """Also where they are numbered from 1, or with gaps."""
    edit_json(swin_model / "config.json", id2label=labels, label2id=None)
    found = load(swin_model).id2label
    assert {index: found[index] for index in range(3)} == expected


@pytest.mark.usefixtures("no_network")
def test_shards(swin_model, pristine_swin_model):
    split_into_shards(swin_model)
    pixels = torch.ones(1, 3, 64, 64)
    expected = load(pristine_swin_model).forward(pixels)
    assert torch.equal(load(swin_model).forward(pixels).mask_logits, expected.mask_logits)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "changes",
    [
        {"use_pretrained_backbone": True, "backbone": "microsoft/swin-tiny-patch4-window7-224"},
        {"use_timm_backbone": True, "backbone": "resnet50", "backbone_kwargs": {"out_indices": [1]}},
        {"_attn_implementation": "kernels-community/flash-attn", "attn_implementation": "eager"},
        {"auto_map": {"AutoModel": "someone/somewhere--modeling.Model"}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"transformers_weights": "elsewhere.safetensors"},
        {"_name_or_path": "facebook/mask2former-swin-tiny-coco-instance", "dtype": "float16"},
    ],
)
def test_configuration_reaches_no_network(swin_model, edit_json, changes):
    edit_json(swin_model / "config.json", **changes)
    assert load(swin_model).id2label == {0: "room", 1: "exwall", 2: "inwall"}


@pytest.mark.usefixtures("no_network")
def test_backbone_by_name_alone_is_an_error(swin_model, edit_json):
    edit_json(swin_model / "config.json", backbone_config=None, backbone="microsoft/swin-tiny")
    with pytest.raises(InvalidModelError, match="backbone_config"):
        load(swin_model)


def test_no_directory(tmp_path):
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "maskformer"}, "'maskformer'"),
        ({"model_type": None}, "type None"),
        ({"backbone_config": {"model_type": "no-such-backbone"}}, "config.json"),
        ({"num_queries": "five"}, "num_queries"),
        ({"num_attention_heads": 3}, "cannot load"),
    ],
)
def test_unusable_configuration(swin_model, edit_json, changes, words):
    edit_json(swin_model / "config.json", **changes)
    with pytest.raises(InvalidModelError, match=words) as caught:
        load(swin_model)
    assert caught.value.next_step


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe"])
def test_unreadable_configuration(swin_model, content):
    (swin_model / "config.json").write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"config\.json"):
        load(swin_model)


def test_missing_files(swin_model):
    (swin_model / WEIGHTS).unlink()
    with pytest.raises(InvalidModelError, match=f"{WEIGHTS} is missing"):
        load(swin_model)
    (swin_model / "config.json").unlink()
    with pytest.raises(InvalidModelError, match=r"config\.json is missing"):
        load(swin_model)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_pickles_are_never_loaded(swin_model, name):
    (swin_model / WEIGHTS).rename(swin_model / name)
    with pytest.raises(InvalidModelError, match="as a pickle"):
        load(swin_model)


@pytest.mark.parametrize(
    "shard", ["pytorch_model-00001-of-00001.bin", "../model.safetensors", "a\\b.safetensors"]
)
def test_shards_of_other_kinds_are_refused(swin_model, shard):
    split_into_shards(swin_model)
    index = swin_model / "model.safetensors.index.json"
    fields = json.loads(index.read_text())
    fields["weight_map"][next(iter(fields["weight_map"]))] = shard
    index.write_text(json.dumps(fields))
    with pytest.raises(InvalidModelError, match="no safetensors file beside it"):
        load(swin_model)


def test_missing_shard(swin_model):
    split_into_shards(swin_model)
    (swin_model / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InvalidModelError, match="model-00002-of-00002"):
        load(swin_model)


@pytest.mark.parametrize("damage", ["empty", "half", "header", "page"])
def test_damaged_weights(swin_model, damage):
    file = swin_model / WEIGHTS
    content = file.read_bytes()
    file.write_bytes(
        {
            "empty": b"",
            "half": content[: len(content) // 2],
            "header": b"\xff" * 64 + content[64:],
            "page": b"<!DOCTYPE html><html><body>Access denied</body></html>",
        }[damage]
    )
    with pytest.raises(InvalidModelError, match=r"truncated|malformed"):
        load(swin_model)


def test_missing_tensors_are_named(swin_model):
    def drop(weights):
        for name in sorted(weights):
            if name.startswith("class_predictor") or name.endswith("level_embed.weight"):
                del weights[name]

    change_weights(swin_model, drop)
    with pytest.raises(
        InvalidModelError, match=r"lack class_predictor\.bias, class_predictor\.weight, .*3 in all"
    ):
        load(swin_model)


def test_tensors_of_other_shapes_are_named(swin_model, edit_json):
    labels = {str(index): f"label {index}" for index in range(7)}
    edit_json(swin_model / "config.json", id2label=labels, label2id=None)
    with pytest.raises(InvalidModelError, match=r"class_predictor\.bias \(4,\) instead of \(8,\)"):
        load(swin_model)


def test_tensors_too_many_are_only_logged(swin_model, caplog):
    change_weights(swin_model, lambda weights: weights.update({f"ema.{n}": torch.zeros(1) for n in range(5)}))
    with caplog.at_level(logging.WARNING, reference.logger.name):
        load(swin_model)
    assert "ema.0, ema.1, ema.2 and 2 more (of 5)" in caplog.text


def test_training_buffers_are_not_even_logged(pristine_swin_model, caplog):
    assert "criterion.empty_weight" in load_file(pristine_swin_model / WEIGHTS)
    load(pristine_swin_model)
    assert not caplog.records


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("hub_bars", [True, False])
def test_loading_is_silent_and_puts_every_switch_back(swin_model, capfd, bars, hub_bars):
    change_weights(swin_model, lambda weights: weights.update(extra=torch.zeros(1)))
    verbosity = transformers_logging.get_verbosity()
    try:
        (transformers_logging.enable_progress_bar if bars else transformers_logging.disable_progress_bar)()
        (enable_progress_bars if hub_bars else disable_progress_bars)()
        transformers_logging.set_verbosity_info()
        load(swin_model)
        assert transformers_logging.get_verbosity() == logging.INFO
        assert transformers_logging.is_progress_bar_enabled() == bars
        assert are_progress_bars_disabled() != hub_bars
    finally:
        transformers_logging.enable_progress_bar()
        transformers_logging.set_verbosity(verbosity)
    assert capfd.readouterr() == ("", "")
