from pathlib import PurePosixPath

import pytest

from kkg_area_detection.errors import (
    InvalidModelError,
    KkgAreaDetectionError,
    ObjectNotFoundError,
    UnsafeKeyError,
)
from kkg_area_detection.hub.plan import DownloadPlan, RemoteObject, plan_object, plan_prefix


def objects(*keys: str, size: int = 10, storage_class: str = "STANDARD") -> list[RemoteObject]:
    return [RemoteObject(key, size, f'"{number}"', storage_class) for number, key in enumerate(keys)]


def paths(plan: DownloadPlan) -> dict[str, str]:
    return {file.source.key: str(file.path) for file in plan.files}


MODEL = ("m/config.json", "m/model.safetensors")


def test_prefix_keeps_folders_and_skips_markers() -> None:
    plan = plan_prefix("b", "m/", objects("m/", "m/sub/", *MODEL, "m/sub/deep/notes.txt"))
    assert paths(plan) == {
        "m/config.json": "config.json",
        "m/model.safetensors": "model.safetensors",
        "m/sub/deep/notes.txt": "sub/deep/notes.txt",
    }
    assert plan.total_bytes == 30
    assert plan.uri == "s3://b/m/"
    assert not plan.is_archive


def test_a_training_folder_with_its_pickles_is_a_model() -> None:
    plan = plan_prefix("b", "m/", objects(*MODEL, "m/training_args.bin", "m/optimizer.pt"))
    assert len(plan.files) == 4


def test_shards() -> None:
    plan = plan_prefix(
        "b",
        "m/",
        objects("m/config.json", "m/model.safetensors.index.json", "m/model-00001-of-00002.safetensors"),
    )
    assert len(plan.files) == 3


@pytest.mark.parametrize(
    ("keys", "error", "words"),
    [
        ([], ObjectNotFoundError, "nothing below s3://b/m/"),
        (["m/"], ObjectNotFoundError, "nothing below"),
        (["m/model.safetensors"], InvalidModelError, "config.json is missing in s3://b/m/"),
        (["m/large/config.json", "m/small/config.json"], InvalidModelError, "its folders do: large, small"),
        (["m/large/config.json"], InvalidModelError, "{model_name}"),
        (["m/config.json"], InvalidModelError, "model.safetensors is missing"),
        (["m/config.json", "m/pytorch_model.bin"], InvalidModelError, "pickle"),
        ([*MODEL, "m/../evil.bin"], UnsafeKeyError, "s3://b/m/../evil.bin"),
        ([*MODEL, "m//etc/passwd"], UnsafeKeyError, "unsafe name"),
        ([*MODEL, "m/C:\\x"], UnsafeKeyError, "unsafe name"),
        ([*MODEL, "m/Config.json"], UnsafeKeyError, "one name on some systems"),
    ],
)
def test_prefixes_that_are_no_model(keys: list[str], error: type[KkgAreaDetectionError], words: str) -> None:
    with pytest.raises(error) as caught:
        plan_prefix("b", "m/", objects(*keys))
    assert words in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
def test_archived_objects(storage_class: str) -> None:
    with pytest.raises(InvalidModelError, match="is archived"):
        plan_prefix("b", "m/", objects(*MODEL, storage_class=storage_class))


@pytest.mark.parametrize("name", ["m.zip", "m.tar", "m.tar.gz", "m.tgz", "M.ZIP"])
def test_archive_object(name: str) -> None:
    plan = plan_object("b", f"x/{name}", objects(f"x/{name}"), [])
    assert plan.is_archive
    assert paths(plan) == {f"x/{name}": name}


def test_lone_weights_bring_their_companions() -> None:
    siblings = objects(
        "x/large.safetensors",
        "x/config.json",
        "x/preprocessor_config.json",
        "x/README.md",
        "x/other.safetensors",
        "x/old.bin",
        "x/model.safetensors.index.json",
        "x/",
    )
    plan = plan_object("b", "x/large.safetensors", siblings[:1], siblings)
    assert {file.path for file in plan.files} == {
        PurePosixPath(name)
        for name in ("model.safetensors", "config.json", "preprocessor_config.json", "README.md")
    }
    assert plan.files[0].source.key == "x/large.safetensors"


def test_lone_weights_at_the_top_of_the_bucket() -> None:
    listing = objects("large.safetensors", "config.json")
    assert len(plan_object("b", "large.safetensors", listing, listing).files) == 2


@pytest.mark.parametrize(
    ("key", "listing", "error", "words"),
    [
        ("x/m.zip", [], ObjectNotFoundError, "no object s3://b/x/m.zip"),
        ("x/m", ["x/m/config.json", "x/m/w"], ObjectNotFoundError, "set S3_MODEL_KEY=x/m/"),
        ("x/m", ["x/model.zip"], ObjectNotFoundError, "typo"),
        ("x/m.safetensors", ["x/m.safetensors"], InvalidModelError, "config.json is missing"),
        ("x/m.bin", ["x/m.bin"], InvalidModelError, "pickle"),
        ("x/m.rar", ["x/m.rar"], InvalidModelError, "neither a folder, an archive nor"),
        ("x/..\\m.zip", ["x/..\\m.zip"], UnsafeKeyError, "unsafe name"),
    ],
)
def test_objects_that_are_no_model(
    key: str, listing: list[str], error: type[KkgAreaDetectionError], words: str
) -> None:
    with pytest.raises(error) as caught:
        plan_object("b", key, objects(*listing), objects(*listing))
    assert words in str(caught.value)
