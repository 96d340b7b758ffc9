"""Pickle checkpoints become safetensors; what a pickle wants to run is never run."""

import json
import os
import pickle
import sys
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import load_file

from kkg_area_detection.errors import InvalidModelError, KkgAreaDetectionError, ModelNotFoundError, UsageError
from kkg_area_detection.segmentation import convert, convert_process
from kkg_area_detection.segmentation.convert import convert_checkpoint, converted
from kkg_area_detection.segmentation.convert_process import separate, state_dict_of
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.weights_check import check_weights_fit

CHECKPOINT = "pytorch_model.bin"


@pytest.fixture
def source(tmp_path):
    """A directory with all but a checkpoint."""
    directory = tmp_path / "old model"
    directory.mkdir()
    (directory / "config.json").write_text('{"model_type": "mask2former"}')
    (directory / "preprocessor_config.json").write_text("{}")
    return directory


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "model"


def weights():
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1], dtype=torch.float16)}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


class Runs:
    """A pickle that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


# --- what can be converted -----------------------------------------------------------------------------------


def test_a_whole_model(swin_model, target):
    torch.save(load_file(swin_model / "model.safetensors"), swin_model / CHECKPOINT)
    expected = load_file(swin_model / "model.safetensors")
    (swin_model / "model.safetensors").unlink()
    convert_checkpoint(swin_model, target)
    assert_same(load_file(target / "model.safetensors"), expected)
    check_weights_fit(target)
    ReferenceEngine.load(target, torch.device("cpu"))
    assert (target / "config.json").read_bytes() == (swin_model / "config.json").read_bytes()
    assert sorted(path.name for path in swin_model.iterdir()) == ["config.json", CHECKPOINT]


@pytest.mark.parametrize("name", [CHECKPOINT, "best.pt", "model.PTH", "last.ckpt"])
def test_names_of_checkpoints(source, name):
    (source / "optimizer.pt").touch()
    (source / name).touch()
    assert convert._checkpoint_files(source) == [source / name]


@pytest.mark.parametrize(
    "content",
    [
        weights(),
        OrderedDict(weights()),
        {"epoch": 3, "state_dict": weights()},
        {"model": {"model_state_dict": weights()}},
        {f"module.{name}": tensor for name, tensor in weights().items()},
        {name: torch.nn.Parameter(tensor) for name, tensor in weights().items()},
    ],
)
def test_kinds_of_checkpoints(tmp_path, content):
    torch.save(content, tmp_path / "old.pt")
    convert_process.convert(str(tmp_path / "new"), [str(tmp_path / "old.pt")])
    assert_same(load_file(tmp_path / "new"), weights())


def test_shards(source, target):
    weight_map = {}
    for name, tensor in weights().items():
        weight_map[name] = f"pytorch_model-{name}.bin"
        torch.save({name: tensor}, source / weight_map[name])
    (source / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    convert_checkpoint(source, target)
    assert_same(load_file(target / "model.safetensors"), weights())
    assert not (target / "pytorch_model.bin.index.json").exists()


def test_tied_weights_and_views(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    tensors = {"first": whole, "tied": whole, "row": whole[1], "turned": whole.T}
    tensors |= {"empty": torch.zeros(0), "empty too": torch.zeros(0, 3)}
    torch.save(tensors, tmp_path / "old.pt", _use_new_zipfile_serialization=False)  # torch before 1.6
    convert_process.convert(str(tmp_path / "new"), [str(tmp_path / "old.pt")])
    assert_same(load_file(tmp_path / "new"), tensors)


def test_separate_copies_only_what_it_must():
    alone, whole = torch.zeros(3), torch.zeros(4)
    result = separate({"alone": alone, "whole": whole, "tied": whole})
    assert result["alone"].data_ptr() == alone.data_ptr()
    assert result["whole"].data_ptr() == whole.data_ptr() != result["tied"].data_ptr()


def test_state_dict_of():
    assert state_dict_of({"model": torch.ones(1)}) == {"model": torch.ones(1)}  # a tensor of that name


def test_converted_lasts_as_long_as_the_context(source):
    torch.save(weights(), source / CHECKPOINT)
    with converted(source) as directory:
        assert (directory / "model.safetensors").is_file()
    assert not directory.parent.exists()


# --- what is never run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["among weights", "old torch", "bare pickle"])
def test_a_malicious_pickle_is_not_run(source, target, tmp_path, style, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # must not make torch less careful
    trap, path = tmp_path / "sprung", source / CHECKPOINT
    match style:
        case "old torch":
            torch.save(Runs(trap), path, _use_new_zipfile_serialization=False)
        case "bare pickle":
            path.write_bytes(pickle.dumps(Runs(trap), protocol=2))
        case "among weights":
            torch.save(weights() | {"c": Runs(trap)}, path)
    with pytest.raises(InvalidModelError, match="more than weights") as caught:
        convert_checkpoint(source, target)
    assert not trap.exists()
    assert "io.open" in caught.value.what
    assert "malicious" in caught.value.cause
    assert "weights_only" not in str(caught.value)  # torch's own advice is to switch the safety off
    assert not target.exists()


def test_a_pickle_of_another_protocol_is_not_run(source, target, tmp_path):
    (source / CHECKPOINT).write_bytes(pickle.dumps(Runs(tmp_path / "sprung"), protocol=5))
    with pytest.raises(InvalidModelError, match="torch did not write it"):
        convert_checkpoint(source, target)
    assert not (tmp_path / "sprung").exists()


def test_whole_model_objects(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "old.pt")
    with pytest.raises(pickle.UnpicklingError) as caught:
        convert_process.convert(str(tmp_path / "new"), [str(tmp_path / "old.pt")])
    assert convert_process.describe(caught.value) == ("code", "torch.nn.modules.linear.Linear")


def test_the_other_process_knows_no_credentials(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    monkeypatch.setenv("HARMLESS", "yes")
    environment = convert._environment()
    assert environment["HARMLESS"] == "yes"
    assert not [name for name in environment if name.startswith(("AWS_", "TORCH_FORCE"))]


def test_modules_in_the_working_directory_are_not_imported(source, target, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    torch.save(weights(), source / CHECKPOINT)
    monkeypatch.chdir(tmp_path)
    convert_checkpoint(source, target)
    assert not (tmp_path / "sprung").exists()


# --- what cannot be converted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(1)], "it holds a list"),
        (torch.zeros(2), "it holds a Tensor"),
        ({}, "it is empty"),
        ({"a": torch.zeros(1), "epoch": 3}, "'epoch' is a int, not a tensor"),
        ({1: torch.zeros(1)}, "'1' is a Tensor"),
    ],
)
def test_other_contents(content, words):
    with pytest.raises(convert_process.ContentsError, match=words) as caught:
        state_dict_of(content)
    assert convert_process.describe(caught.value) == ("contents", str(caught.value))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3}, "not a state dict: 'epoch' is a int"),
        ({"a": torch.zeros(1).expand(10**15)}, "memory of this machine is not enough"),
    ],
)
def test_failures_are_explained(source, target, content, words):
    torch.save(content, source / CHECKPOINT)
    with pytest.raises(InvalidModelError, match=words) as caught:
        convert_checkpoint(source, target)
    assert caught.value.next_step
    assert not target.exists()


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_files(tmp_path, damage):
    path = tmp_path / "old.pt"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes({"truncated": path.read_bytes()[:2000], "garbage": b"hello", "empty": b""}[damage])
    with pytest.raises(Exception) as caught:  # noqa: PT011 - torch has a kind for each
        convert_process.convert(str(tmp_path / "new"), [str(path)])
    kind, detail = convert_process.describe(caught.value)
    assert kind in ("contents", "other")
    assert detail
    assert "\n" not in detail
    assert "weights_only" not in detail


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ([], InvalidModelError, "no checkpoint to convert"),
        (["optimizer.pt", "training_args.bin"], InvalidModelError, "no checkpoint to convert"),
        (["a.pt", "b.pth"], InvalidModelError, "several checkpoints: a.pt, b.pth"),
        (["model.safetensors", CHECKPOINT], UsageError, "safetensors already"),
        (["model.safetensors.index.json", CHECKPOINT], UsageError, "safetensors already"),
    ],
)
def test_directories_without_one_checkpoint(source, target, files, error, words):
    for name in files:
        (source / name).touch()
    with pytest.raises(error, match=words) as caught:
        convert_checkpoint(source, target)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "index", [{}, {"weight_map": {}}, {"weight_map": {"a": "gone.bin"}}, {"weight_map": {"a": "../x.bin"}}]
)
def test_unusable_index(source, target, index):
    (source.parent / "x.bin").touch()
    (source / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidModelError, match=r"pytorch_model\.bin\.index\.json"):
        convert_checkpoint(source, target)


def test_missing_directory_and_configuration(source, target):
    torch.save(weights(), source / CHECKPOINT)
    (source / "config.json").unlink()
    with pytest.raises(InvalidModelError, match=r"config\.json is missing"):
        convert_checkpoint(source, target)
    with pytest.raises(ModelNotFoundError):
        convert_checkpoint(source / "nowhere", target)


def test_a_target_that_exists_is_left_alone(source, target):
    torch.save(weights(), source / CHECKPOINT)
    target.mkdir(parents=True)
    (target / "precious").touch()
    with pytest.raises(UsageError, match="exists"):
        convert_checkpoint(source, target)
    assert (target / "precious").exists()


@pytest.mark.skipif(os.name != "posix", reason="making links needs a privilege on Windows")
@pytest.mark.parametrize("name", [CHECKPOINT, "secret.json"])
def test_links_are_not_followed(source, target, tmp_path, name):
    """A link could name any file of this machine, and the result is about to be published."""
    torch.save(weights(), source / CHECKPOINT)
    (tmp_path / "elsewhere").touch()
    (source / name).unlink(missing_ok=True)
    (source / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidModelError, match="is a link"):
        convert_checkpoint(source, target)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -9 $$", "memory of this machine is not enough"),
        ("echo 'it broke' >&2; exit 3", "could not be converted: it broke"),
        ("exit 3", "ended with status 3"),
        ("exec sleep 60", "did not end within 0 s"),
    ],
)
def test_a_process_that_fails(source, target, tmp_path, monkeypatch, script, words):
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    (source / CHECKPOINT).touch()
    with pytest.raises(KkgAreaDetectionError, match=words) as caught:
        convert_checkpoint(source, target, timeout_s=0.3 if "sleep" in script else 20)
    assert caught.value.next_step
    assert not target.exists()
