import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kkg_area_detection.errors import CacheNotWritableError, InvalidModelError, ModelAccessError, UsageError
from kkg_area_detection.hub import cache as cache_module
from kkg_area_detection.hub.cache import ModelCache, default_layers
from kkg_area_detection.hub.integrity import Checksum, digest_of
from kkg_area_detection.hub.receipt import Receipt, ReceiptFile
from tests.conftest import write_tiny_model


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache.at([tmp_path / "cache"])


def receipt_for(directory: Path, source: str = "s3://bucket/large/") -> Receipt:
    files = tuple(
        ReceiptFile(
            path.name,
            path.stat().st_size,
            0,
            '"e"',
            Checksum("SHA256", digest_of(path, "SHA256")),
            verified=True,
        )
        for path in sorted(directory.iterdir())
    )
    return Receipt(source, "2026-01-01T00:00:00+00:00", files, {})


def publish(cache: ModelCache, filler: int = 64, *, replace: bool = False) -> Path:
    with cache.staging("large") as staging:
        staged = write_tiny_model(staging.directory / "staged", filler=filler)
        return cache.publish(staged, "large", receipt_for(staged), replace=replace)


def files_below(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_layout(cache: ModelCache) -> None:
    directory = publish(cache)
    (root,) = cache.layers
    assert directory == root / "large"
    assert files_below(root) == [
        ".kkg/receipts/large.json",
        "large/config.json",
        "large/model.safetensors",
        "large/preprocessor_config.json",
    ]
    assert cache.find("large") == directory
    receipt = cache.receipt_of(directory)
    assert receipt is not None
    assert receipt.source == "s3://bucket/large/"
    assert receipt.verified
    assert cache.find("small") is None


def test_published_files_follow_the_umask(cache: ModelCache) -> None:
    previous = os.umask(0o002)  # a shared, group-writable cache
    try:
        directory = publish(cache)
    finally:
        os.umask(previous)
    assert directory.stat().st_mode & 0o777 == 0o775
    assert (directory / "config.json").stat().st_mode & 0o777 == 0o664


def test_a_model_copied_in_by_hand(cache: ModelCache) -> None:
    directory = write_tiny_model(cache.layers[0] / "mine")
    assert cache.find("mine") == directory
    assert cache.receipt_of(directory) is None


def test_a_model_put_in_the_place_of_ours_is_not_held_to_our_receipt(cache: ModelCache) -> None:
    directory = publish(cache)
    directory.rename(directory.with_name("old"))  # keeps the inode from being used again
    write_tiny_model(directory, filler=99)
    assert cache.find("large") == directory
    assert cache.receipt_of(directory) is None


def shorten_config(directory: Path) -> None:
    (directory / "config.json").write_text('{"model_type":"mask2former"}')


def truncate_weights(directory: Path) -> None:
    os.truncate(directory / "model.safetensors", 20)


def edit_weights(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")  # the same size


def lose_processor(directory: Path) -> None:
    (directory / "preprocessor_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shorten_config, "config.json has 28 of 29 bytes"),
        (edit_weights, r"model.safetensors does not have the checksum it was fetched with \(SHA256\)"),
        (truncate_weights, "model.safetensors is truncated"),
        (lose_processor, "preprocessor_config.json is missing"),
    ],
)
def test_damage_is_noticed_and_replaced(
    cache: ModelCache, damage: Callable[[Path], None], words: str
) -> None:
    directory = publish(cache)
    damage(directory)
    with pytest.raises(InvalidModelError, match=words):
        cache.find("large")
    assert publish(cache) == directory
    assert cache.find("large") == directory
    assert not list((cache.layers[0] / ".kkg" / "staging").iterdir())


def test_a_sound_model_is_never_replaced(cache: ModelCache) -> None:
    directory = publish(cache, filler=64)
    inode = directory.stat().st_ino
    assert publish(cache, filler=128) == directory
    assert directory.stat().st_ino == inode


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"source": 1}', '{"files": [{}]}', '{"files": 3}'])
def test_a_damaged_receipt_is_no_receipt(cache: ModelCache, content: str) -> None:
    directory = publish(cache)
    (cache.layers[0] / ".kkg" / "receipts" / "large.json").write_text(content)
    assert cache.find("large") == directory


def test_a_touched_file_is_hashed_and_found_sound(cache: ModelCache) -> None:
    directory = publish(cache)
    os.utime(directory / "model.safetensors", (1, 1))
    assert cache.find("large") == directory


def test_a_thorough_check_finds_what_sizes_and_times_hide(cache: ModelCache) -> None:
    directory = publish(cache)
    weights = directory / "model.safetensors"
    status = weights.stat()
    edit_weights(directory)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.find("large") == directory
    with pytest.raises(InvalidModelError, match="checksum"):
        cache.check(directory, thoroughly=True)


@pytest.mark.parametrize("name", ["thesis.docx", "sub/photo.jpg"])
def test_what_is_no_model_is_never_touched(cache: ModelCache, name: str) -> None:
    own = cache.layers[0] / "large" / name
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(UsageError, match="is in the way: it is not a model"):
        publish(cache)
    assert own.read_text() == "mine"


def test_a_file_in_the_way(cache: ModelCache) -> None:
    cache.layers[0].mkdir()
    (cache.layers[0] / "large").write_text("mine")
    with pytest.raises(UsageError, match="is in the way"):
        cache.check_place("large")
    (cache.layers[0] / "large").unlink()
    (cache.layers[0] / "large").symlink_to("nowhere")
    with pytest.raises(UsageError, match="is in the way"):
        cache.check_place("large")


def test_a_damaged_model_that_people_copied_in_is_kept_for_them(
    cache: ModelCache, caplog: pytest.LogCaptureFixture
) -> None:
    own = write_tiny_model(cache.layers[0] / "large")
    (own / "config.json").unlink()
    (own / "notes.txt").write_text("mine")
    publish(cache)
    (kept,) = (cache.layers[0] / ".kkg" / "replaced").iterdir()
    assert (kept / "notes.txt").read_text() == "mine"
    assert str(kept) in caplog.text


def test_a_model_that_may_not_be_read_is_not_damaged(tmp_path: Path) -> None:
    directory = write_tiny_model(tmp_path / "cache" / "large")
    (directory / "config.json").chmod(0)
    with ordinary_user(tmp_path), pytest.raises(ModelAccessError, match="may not be read"):
        ModelCache.at([tmp_path / "cache"]).find("large")


def test_replace(cache: ModelCache) -> None:
    publish(cache, filler=64)
    directory = publish(cache, filler=128, replace=True)
    assert (directory / "model.safetensors").stat().st_size > 128
    assert cache.find("large") == directory
    assert not list((cache.layers[0] / ".kkg" / "staging").iterdir())


def test_a_model_in_use_is_replaced_later(cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows does not let a directory be moved while a file in it is open."""
    old = publish(cache, filler=64)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == old:
            raise PermissionError(13, "in use")
        return rename(self, target)

    with monkeypatch.context() as windows:
        windows.setattr(Path, "rename", refuse)
        for filler in (128, 256):
            waiting = publish(cache, filler=filler, replace=True)
            assert waiting == cache.layers[0] / ".kkg" / "pending" / "large"
            assert cache.find("large") == waiting
    assert (old / "model.safetensors").stat().st_size < 256
    assert cache.find("large") == old  # nobody uses it any more
    assert (old / "model.safetensors").stat().st_size > 256
    assert cache.receipt_of(old) is not None
    assert not waiting.exists()


def test_the_last_writable_layer_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.touch()  # a file where a directory is needed: not writable for anybody
    cache = ModelCache([tmp_path / "writable", blocked])
    with caplog.at_level(logging.INFO):
        assert publish(cache) == tmp_path / "writable" / "large"
    assert "is not writable; models are kept in" in caplog.text


def test_a_damaged_model_in_one_layer_does_not_hide_a_sound_one(tmp_path: Path) -> None:
    truncate_weights(write_tiny_model(tmp_path / "one" / "large"))
    sound = write_tiny_model(tmp_path / "two" / "large")
    assert ModelCache([tmp_path / "one", tmp_path / "two"]).find("large") == sound


def test_no_writable_layer(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheNotWritableError, match="set MODEL_CACHE_DIR") as caught:
        ModelCache.at([tmp_path / "file"]).writable_layer()
    assert isinstance(caught.value, PermissionError)


@contextmanager
def ordinary_user(tmp_path: Path) -> Iterator[None]:
    """Permissions do not bind root, whom tests in containers run as."""
    if os.geteuid():
        yield
        return
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="directory permissions are a POSIX matter")
def test_a_read_only_cache_is_read_and_not_written(tmp_path: Path) -> None:
    directory = write_tiny_model(tmp_path / "cache" / "large")
    (tmp_path / "cache").chmod(0o555)
    cache = ModelCache.at([tmp_path / "cache"])
    with ordinary_user(tmp_path):
        assert cache.find("large") == directory
        with pytest.raises(CacheNotWritableError, match="cannot be written: Permission denied"):
            cache.writable_layer()
    (tmp_path / "cache").chmod(0o755)


def test_default_layers() -> None:
    user, package = default_layers()
    assert package.parts[-2:] == ("kkg_area_detection", "model_cache")
    assert "kkg-area-detection" in user.parts


def test_one_at_a_time(cache: ModelCache, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []
    entered = threading.Event()

    def first() -> None:
        with cache.lock("large"):
            entered.set()
            time.sleep(0.8)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with cache.lock("large"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting for it" in caplog.text


def test_a_lock_that_is_never_released_does_not_stop_anybody(
    cache: ModelCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "LOCK_TIMEOUT_S", 0.1)
    with cache.lock("large"), cache.lock("large"):
        pass
    assert "without a lock" in caplog.text


def test_receipt_is_plain_json(cache: ModelCache) -> None:
    publish(cache)
    receipt = json.loads((cache.layers[0] / ".kkg" / "receipts" / "large.json").read_text())
    assert receipt["source"] == "s3://bucket/large/"
    assert receipt["files"][0]["path"] == "config.json"


def test_a_waiting_model_does_not_push_out_what_people_put_in_its_place(cache: ModelCache) -> None:
    waiting = write_tiny_model(cache.layers[0] / ".kkg" / "pending" / "large")
    own = cache.layers[0] / "large" / "thesis.txt"
    own.parent.mkdir()
    own.write_text("mine")
    assert cache.find("large") == waiting
    assert own.read_text() == "mine"


def test_a_model_is_refreshed_where_it_is(tmp_path: Path) -> None:
    cache = ModelCache([tmp_path / "one", tmp_path / "two"])
    write_tiny_model(tmp_path / "one" / "large")
    assert publish(cache, filler=99, replace=True) == tmp_path / "one" / "large"
    assert not (tmp_path / "two" / "large").exists()
