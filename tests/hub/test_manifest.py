"""What is accepted as a manifest, and that nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kkg_area_detection.errors import InvalidModelError
from kkg_area_detection.hub.manifest import MANIFEST_NAME, Manifest, ManifestFile, dump, parse

ORIGIN = "s3://bucket/models/large/kkg-manifest.json"
DIGEST = "0123456789abcdef" * 4
FILE = {"path": "config.json", "size": 3, "sha256": DIGEST}
FIELDS = {"version": 1, "state": "complete", "created_at": "2026-01-31T09:00:00+00:00", "files": [FILE]}


def raw(**changes: Any) -> bytes:
    fields = FIELDS | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


@pytest.mark.parametrize("state", ["uploading", "complete"])
def test_round_trip(state: Any) -> None:
    files = (ManifestFile("config.json", 3, DIGEST), ManifestFile("図面/重み.safetensors", 0, DIGEST))
    manifest = Manifest(files, state, "2026-01-31T09:00:00+00:00")
    assert parse(dump(manifest), ORIGIN) == manifest
    assert dump(manifest) == dump(manifest)


def test_the_format_is_stable() -> None:
    """Models that were published once must stay readable."""
    manifest = Manifest((ManifestFile("config.json", 3, DIGEST),), "complete", FIELDS["created_at"])
    assert json.loads(dump(manifest)) == FIELDS
    assert dump(manifest).decode().isascii()
    assert MANIFEST_NAME == "kkg-manifest.json"


def test_unknown_fields_are_for_later_releases() -> None:
    assert parse(raw(remark="x", files=[FILE | {"etag": "y"}]), ORIGIN) == parse(raw(), ORIGIN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"x" * 16_000_001, "16000001 bytes long"),
        (raw(version=None), "no version"),
        (raw(version=True), "no version"),
        (raw(version="1"), "no version"),
        (raw(version=2), "format version 2"),
        (raw(state=None), "state is None"),
        (raw(state="done"), "state is 'done'"),
        (raw(state=["complete"]), r"state is \['complete'\]"),
        (raw(created_at=None), "created_at is None"),
        (raw(created_at="yesterday"), "created_at is 'yesterday'"),
        (raw(created_at="2026-01-31T09:00:00"), "created_at"),  # in which zone?
        (raw(files=None), "lists no files"),
        (raw(files=[]), "lists no files"),
        (raw(files={"config.json": FILE}), "lists no files"),
        (raw(files=["config.json"]), "'config.json' is not the entry of a file"),
        (raw(files=[{"size": 3, "sha256": DIGEST}]), "no path"),
    ],
)
def test_malformed(content: bytes, words: str) -> None:
    with pytest.raises(InvalidModelError, match=words) as caught:
        parse(content, ORIGIN)
    assert ORIGIN in caught.value.what
    assert caught.value.cause
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": 1}, "no path"),
        ({"path": ""}, "empty"),
        ({"path": "../evil"}, r"'\.\.'"),
        ({"path": "a/../../evil"}, r"'\.\.'"),
        ({"path": "/etc/passwd"}, "empty part"),
        ({"path": "C:/evil"}, "':'"),
        ({"path": "a\\b"}, "contains"),
        ({"path": "nul.json"}, "reserved"),
        ({"path": "a\0b"}, "control character"),
        ({"path": MANIFEST_NAME.upper()}, "one name on some systems"),
        ({"size": -1}, "size of 'config.json' is -1"),
        ({"size": 1.5}, "1.5"),
        ({"size": True}, "True"),
        ({"size": "3"}, "'3'"),
        ({"size": None}, "None"),
        ({"sha256": DIGEST.upper()}, "sha256 of 'config.json'"),
        ({"sha256": DIGEST[:-1]}, "sha256"),
        ({"sha256": DIGEST + "0"}, "sha256"),
        ({"sha256": DIGEST + "\n"}, "sha256"),
        ({"sha256": "x" * 100_000}, r"xxx\.\.\."),
        ({"sha256": None}, "sha256"),
    ],
)
def test_malformed_files(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidModelError, match=words) as caught:
        parse(raw(files=[FILE | changes]), ORIGIN)
    assert ORIGIN in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize(
    "paths",
    [
        ["a.json", "a.json"],
        ["a.json", "A.json"],
        ["ガ.json", "ガ.json"],  # one character, and two
        ["a", "a/b"],
        ["A/b", "a/c"],
    ],
)
def test_paths_that_collide(paths: list[str]) -> None:
    with pytest.raises(InvalidModelError, match="one name on some systems"):
        parse(raw(files=[FILE | {"path": path} for path in paths]), ORIGIN)
