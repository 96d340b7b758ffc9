import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError
from kkg_area_detection.model_directory import check_model_directory, fingerprint
from tests.conftest import safetensors_bytes


def test_sound_models_pass(tiny_model: Path, demo_model: Path) -> None:
    check_model_directory(tiny_model)
    check_model_directory(demo_model)


def test_sharded_model_passes(tiny_model: Path) -> None:
    shard(tiny_model)
    check_model_directory(tiny_model)


def shard(model: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        (model / name).write_bytes(safetensors_bytes(bytes(8)))
    (model / "model.safetensors").unlink()
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def truncate(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def lose_shard(model: Path) -> None:
    shard(model)
    (model / "b.safetensors").unlink()


def index(weight_map: object) -> Callable[[Path], None]:
    def damage(model: Path) -> None:
        (model / "model.safetensors").unlink()
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return damage


def as_pickle(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def weights(content: bytes) -> Callable[[Path], None]:
    def damage(model: Path) -> None:
        (model / "model.safetensors").write_bytes(content)

    return damage


def config(content: bytes) -> Callable[[Path], None]:
    def damage(model: Path) -> None:
        (model / "config.json").write_bytes(content)

    return damage


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda model: (model / "config.json").unlink(), "config.json is missing in"),
        (config(b""), "not valid JSON"),
        (config(b"\xff\xfe"), "not valid JSON"),
        (config(b"[]"), "not a JSON object"),
        (config(b"[" * 100_000), "nested too deeply"),
        (config(b'{"model_type": "bert"}'), "'bert', which is not supported"),
        (config(b"{}"), "None, which is not supported"),
        (
            lambda model: (model / "preprocessor_config.json").write_text("{"),
            "preprocessor_config.json is malformed",
        ),
        (lambda model: (model / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda model: (model / "model.safetensors").rename(model / "big.safetensors"), "rename the weights"),
        (as_pickle, "pickle"),
        (truncate, "truncated"),
        (weights(b""), "truncated: it has only 0 bytes"),
        (weights(struct.pack("<Q", 100) + b"{}"), "truncated"),
        (weights(b"<html><body>502 Bad Gateway</body></html>"), "does not begin with a safetensors header"),
        (weights(struct.pack("<Q", 4) + b"null"), "header is damaged"),
        (weights(struct.pack("<Q", 4) + b"{{{{"), "header is damaged"),
        (weights(safetensors_bytes(b"", {"w": {"data_offsets": [3, 1]}})), "no valid offsets"),
        (weights(safetensors_bytes(b"", {"w": 1})), "no valid offsets"),
        (weights(safetensors_bytes(bytes(8)) + b"x"), "1 bytes too many"),
        (lose_shard, "b.safetensors is missing"),
        (index({"x": "../x.safetensors"}), "no safetensors file beside it"),
        (index({"x": "a\\b.safetensors"}), "no safetensors file beside it"),
        (index({"x": "pytorch_model-1.bin"}), "no safetensors file beside it"),
        (index({}), "no weight_map"),
        (index(["x.safetensors"]), "no weight_map"),
    ],
)
def test_damaged_models_are_named(tiny_model: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(tiny_model)
    with pytest.raises(InvalidModelError) as caught:
        check_model_directory(tiny_model)
    assert words in str(caught.value)
    assert str(tiny_model) in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize("name", ["config.json", "nowhere"])
def test_not_a_directory(tiny_model: Path, name: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        check_model_directory(tiny_model / name)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.next_step


def test_the_folder_above_a_model(tiny_model: Path) -> None:
    with pytest.raises(InvalidModelError, match="but its folders do: tiny-model"):
        check_model_directory(tiny_model.parent)


def test_fingerprint_changes_with_the_model(tiny_model: Path) -> None:
    before = fingerprint(tiny_model)
    assert fingerprint(tiny_model) == before
    truncate(tiny_model)
    assert fingerprint(tiny_model) != before
