import errno
import logging
import os
import time

import pytest

from kkg_area_detection.segmentation.openvino_cache import MOST_FILES, CompiledFiles

VERSIONS = {"openvino": "2026.4.1", "torch": "2.13.0"}
VARIANT = {"size": [800, 1152], "precision": "f32", "processor": "some AVX512"}
COMPILED = bytes(range(256)) * 5000  # more than one chunk


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def files_of(cache, model, versions=VERSIONS):
    return CompiledFiles(cache, model, versions)


def store(files, variant=VARIANT, compiled=COMPILED):
    files.store(variant, lambda: memoryview(compiled))


def read(files, variant=VARIANT):
    """The compiled network, or None."""
    buffers = []

    def allocate(size):
        buffers.append(bytearray(size))
        return memoryview(buffers[0])

    return bytes(buffers[0]) if files.read(variant, allocate) else None


def on_disk(cache):
    return sorted(path for path in cache.rglob("*") if path.is_file())


def size_variant(number):
    return VARIANT | {"size": [number, number]}


def test_what_is_stored_is_read_by_the_next_process(cache, tiny_model):
    store(files_of(cache, tiny_model))
    assert read(files_of(cache, tiny_model)) == COMPILED
    (path,) = on_disk(cache)
    assert path.parent.parent == cache / "openvino"
    assert path.parent.name.startswith("tiny-model-")


def test_nothing_is_there(cache, tiny_model, caplog):
    assert read(files_of(cache, tiny_model)) is None
    assert not cache.exists()
    assert not caplog.records


@pytest.mark.parametrize(
    "variant",
    [
        VARIANT | {"size": [1152, 800]},
        VARIANT | {"precision": "bf16"},
        VARIANT | {"processor": "some AVX2"},
    ],
)
def test_variants_live_side_by_side(cache, tiny_model, variant):
    files = files_of(cache, tiny_model)
    store(files)
    assert read(files, variant) is None
    store(files, variant, b"other")
    assert read(files, variant) == b"other"
    assert read(files) == COMPILED


def rewrite_weights(model):
    weights = model / "model.safetensors"
    state = weights.stat()
    weights.write_bytes(weights.read_bytes())
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))  # as archives and reproducible images do


def replace_weights(model):
    weights = model / "model.safetensors"
    state = weights.stat()
    (model / "new").write_bytes(weights.read_bytes())
    os.utime(model / "new", ns=(state.st_atime_ns, state.st_mtime_ns))
    (model / "new").replace(weights)


def edit_config(model):
    (model / "config.json").write_text('{"model_type": "mask2former", "num_queries": 7}')


@pytest.mark.parametrize("change", [rewrite_weights, replace_weights, edit_config])
def test_another_model_in_the_same_place(cache, tiny_model, change):
    """Also one of the same size and time. What was made from the old one is removed."""
    store(files_of(cache, tiny_model))
    change(tiny_model)
    files = files_of(cache, tiny_model)
    assert read(files) is None
    store(files, compiled=b"new")
    assert read(files_of(cache, tiny_model)) == b"new"
    assert len(on_disk(cache)) == 1


def test_what_the_network_does_not_depend_on(cache, tiny_model):
    store(files_of(cache, tiny_model))
    (tiny_model / "README.md").write_text("a card")
    assert read(files_of(cache, tiny_model)) == COMPILED


@pytest.mark.parametrize("name", VERSIONS)
def test_other_versions(cache, tiny_model, name):
    store(files_of(cache, tiny_model))
    files = files_of(cache, tiny_model, VERSIONS | {name: "other"})
    assert read(files) is None
    store(files, compiled=b"new")
    assert len(on_disk(cache)) == 1


def cut_in_the_header(raw):
    return raw[:40]


def cut_at_the_end(raw):
    return raw[:-1]


def longer(raw):
    return raw + b"x"


def flipped_at_the_end(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


def flipped_early(raw):
    return raw[:3000] + bytes([raw[3000] ^ 16]) + raw[3001:]


def empty(raw):
    return b""


def noise(raw):
    return b"\x93" * len(raw)


def huge_header(raw):
    return raw[:8] + b"\xff" * 8 + raw[16:]


def no_object(raw):
    return raw[:8] + (2).to_bytes(8, "little") + b"[]" + raw[16:]


@pytest.mark.parametrize(
    "damage",
    [
        cut_in_the_header,
        cut_at_the_end,
        longer,
        flipped_at_the_end,
        flipped_early,
        empty,
        noise,
        huge_header,
        no_object,
    ],
)
def test_damage_is_noticed_and_mended(cache, tiny_model, damage):
    files = files_of(cache, tiny_model)
    store(files)
    (path,) = on_disk(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert read(files) is None
    store(files)
    assert read(files) == COMPILED
    assert on_disk(cache) == [path]


def test_damage_is_reported(cache, tiny_model, caplog):
    files = files_of(cache, tiny_model)
    store(files)
    (path,) = on_disk(cache)
    path.write_bytes(flipped_early(path.read_bytes()))
    read(files)
    assert caplog.messages == [f"{path} is not used, because it is damaged."]
    assert not path.exists()


def test_the_last_ones_used_are_kept(cache, tiny_model):
    files = files_of(cache, tiny_model)
    for number in range(MOST_FILES):
        store(files, size_variant(number))
        time.sleep(0.02)  # the clock of a file system may be coarse
    assert read(files, size_variant(0)) is not None
    time.sleep(0.02)
    store(files, size_variant(MOST_FILES))
    kept = [number for number in range(MOST_FILES + 1) if read(files, size_variant(number)) is not None]
    assert kept == [0, *range(2, MOST_FILES + 1)]


def test_models_of_one_name(cache, tiny_model, tmp_path):
    other = tmp_path / "elsewhere" / tiny_model.name
    other.parent.mkdir()
    tiny_model.rename(other)
    store(files_of(cache, other))
    other.rename(tiny_model)
    assert read(files_of(cache, tiny_model)) is None


def test_what_deleted_models_leave_goes(cache, tiny_model, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    for file in tiny_model.iterdir():
        (gone / file.name).write_bytes(file.read_bytes())
    store(files_of(cache, gone))
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()
    store(files_of(cache, tiny_model))
    assert [path.name.rsplit("-", 1)[0] for path in (cache / "openvino").iterdir()] == ["tiny-model"]


def test_what_killed_processes_leave_goes_after_a_while(cache, tiny_model):
    files = files_of(cache, tiny_model)
    store(files)
    (path,) = on_disk(cache)
    old, new = path.with_name("old.writing"), path.with_name("new.writing")
    for leftover in (old, new):
        leftover.write_bytes(b"half")
    os.utime(old, (0, 0))
    store(files, size_variant(1))
    assert not old.exists()
    assert new.exists()


def test_nothing_else_is_removed(cache, tiny_model):
    (cache / "openvino" / "mine").mkdir(parents=True)
    mine = cache / "openvino" / "mine" / "notes.txt"
    mine.write_text("hello")
    store(files_of(cache, tiny_model))
    assert mine.exists()


def refuse(number):
    def fail():
        raise OSError(number, os.strerror(number))

    return fail


def test_a_full_disk_costs_one_log_line(cache, tiny_model, caplog):
    files = files_of(cache, tiny_model)
    for _ in range(2):
        files.store(VARIANT, refuse(errno.ENOSPC))
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
    assert on_disk(cache) == []


def test_an_unwritable_cache_costs_one_log_line_and_no_export(cache, tiny_model, caplog):
    cache.write_text("a file where the directory should be")
    files = files_of(cache, tiny_model)
    for _ in range(2):
        files.store(VARIANT, lambda: pytest.fail("exported for nothing"))
    assert len(caplog.records) == 1
    assert read(files) is None


def test_an_interrupted_write_leaves_nothing(cache, tiny_model):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files_of(cache, tiny_model).store(VARIANT, interrupted)
    assert on_disk(cache) == []
