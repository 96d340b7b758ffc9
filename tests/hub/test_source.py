import hashlib
import json
from collections.abc import Mapping

import pytest

from kkg_area_detection.errors import InvalidModelError, KkgAreaDetectionError, ObjectChangedError
from kkg_area_detection.hub.plan import RemoteObject
from kkg_area_detection.hub.source import ModelSource
from tests.hub.fake_store import FakeObject, FakeStore

FILES = {"m/config.json": b"{}", "m/model.safetensors": b"weights"}


class ListingStore(FakeStore):
    """A fake store that lists, too."""

    def list_objects(self, bucket: str, prefix: str, *, recursive: bool = True) -> list[RemoteObject]:
        return [
            RemoteObject(key, len(stored.data), stored.etag)
            for key, stored in self.objects.items()
            if key.startswith(prefix)
        ]


def source_of(files: Mapping[str, bytes]) -> ModelSource:
    store = ListingStore({key: FakeObject(data) for key, data in files.items()})
    return ModelSource(store, "b", "m/")  # type: ignore[arg-type]


def manifest(files: Mapping[str, bytes], state: str = "complete") -> bytes:
    entries = [
        {"path": key.removeprefix("m/"), "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for key, data in files.items()
    ]
    content = {"version": 1, "state": state, "created_at": "2026-01-01T00:00:00+00:00", "files": entries}
    return json.dumps(content).encode()


def test_without_a_manifest() -> None:
    plan, promised = source_of(FILES).plan()
    assert len(plan.files) == 2
    assert promised == {}


def test_with_a_manifest_only_its_files_are_the_model() -> None:
    stored = {**FILES, "m/old.bin": b"left over", "m/kkg-manifest.json": manifest(FILES)}
    plan, promised = source_of(stored).plan()
    assert [str(file.path) for file in plan.files] == ["config.json", "model.safetensors"]
    assert promised["config.json"].value == hashlib.sha256(b"{}").digest()


@pytest.mark.parametrize(
    ("stored", "error", "words"),
    [
        ({"m/kkg-manifest.json": manifest(FILES, "uploading")}, ObjectChangedError, "being uploaded"),
        (
            {**FILES, "m/kkg-manifest.json": manifest(FILES, "uploading")},
            ObjectChangedError,
            "being uploaded",
        ),
        (
            {**FILES, "m/kkg-manifest.json": manifest({**FILES, "m/more": b"x"})},
            ObjectChangedError,
            "its upload was not finished",
        ),
        (
            {**FILES, "m/kkg-manifest.json": manifest({**FILES, "m/config.json": b"other size"})},
            ObjectChangedError,
            "being uploaded",
        ),
        ({**FILES, "m/kkg-manifest.json": b"{"}, InvalidModelError, "kkg-manifest.json"),
    ],
)
def test_manifests_that_do_not_fit(
    stored: dict[str, bytes], error: type[KkgAreaDetectionError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        source_of(stored).plan()
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"m/folder/": b""}, True),
        ({"m/new-file": b"x"}, False),
        ({"m/config.json": b"{ }"}, False),
        ({"m/config.json": None}, False),
    ],
)
def test_a_change_under_our_hands(change: dict[str, bytes | None], same: bool) -> None:
    plan, _ = source_of(FILES).plan()
    later = {key: data for key, data in {**FILES, **change}.items() if data is not None}
    if same:
        source_of(later).check_unchanged(plan)
    else:
        with pytest.raises(ObjectChangedError, match="was replaced while"):
            source_of(later).check_unchanged(plan)


def test_with_a_manifest_strangers_mean_nothing() -> None:
    stored = {**FILES, "m/kkg-manifest.json": manifest(FILES)}
    plan, _ = source_of(stored).plan()
    source_of({**stored, "m/new-file": b"x"}).check_unchanged(plan)
