from pathlib import PurePosixPath

import pytest

from kkg_area_detection.errors import UnsafeKeyError, UsageError
from kkg_area_detection.hub.names import check_collisions, check_model_name, safe_relative_path


@pytest.mark.parametrize("name", ["large", "large-v2", "2025.01", "間取り図_大", "a b", "x" * 100])
def test_model_names_that_are_folders(name: str) -> None:
    assert check_model_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".kkg",  # our own bookkeeping
        "a/b",
        "a\\b",
        "/etc",
        "C:",
        "nul",
        "COM1.safetensors",
        "ends.",
        "ends ",
        " begins",
        "a\nb",
        "a\x00b",
        "x" * 101,
        "あ" * 61,  # 183 bytes
        None,
    ],
)
def test_model_names_that_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="model_name="):
        check_model_name(name)


@pytest.mark.parametrize(
    "name", ["config.json", "sub/dir/weights.safetensors", "日本語/重み.json", "a..b", "-x"]
)
def test_keys_that_become_paths(name: str) -> None:
    assert safe_relative_path(name, "s3://b/k") == PurePosixPath(name)


@pytest.mark.parametrize(
    "name",
    [
        "../evil.bin",
        "a/../evil.bin",
        "a/./b",
        "/etc/passwd",
        "a//b",
        "a\\..\\b",
        "C:/windows/x",
        "c:x",
        "a/NUL",
        "a/nul.txt",
        "aux.json",
        "COM¹",
        "a/b.",
        "a/b ",
        "a/\x07b",
        "what?.json",
        'quo"te',
        "a|b",
        "\ud800",
        "x" * 101,
    ],
)
def test_keys_that_are_refused(name: str) -> None:
    with pytest.raises(UnsafeKeyError) as caught:
        safe_relative_path(name, "s3://bucket/odd")
    assert "s3://bucket/odd" in str(caught.value)
    assert "rename or remove" in str(caught.value)


@pytest.mark.parametrize(
    "paths",
    [
        ["Config.json", "config.json"],
        ["a/x", "A/y"],  # one folder on Windows and macOS
        ["a", "a/b"],  # a file where a folder is needed
        ["a/b", "a"],
        ["が.json", "か\u3099.json"],  # composed and decomposed kana
        ["straße", "STRASSE"],
    ],
)
def test_collisions(paths: list[str]) -> None:
    with pytest.raises(UnsafeKeyError, match="one name on some systems"):
        check_collisions(map(PurePosixPath, paths), "s3://b/m/")


def test_no_collision() -> None:
    check_collisions(map(PurePosixPath, ["a/x", "a/y", "b/x", "ab"]), "s3://b/m/")
