"""What happens beside a download: it must cost nothing, change nothing, and end well."""

import subprocess
import sys
import textwrap
import threading

import pytest
import torch

from kkg_area_detection.errors import DeviceError
from kkg_area_detection.hub import tuning
from kkg_area_detection.hub.journal import read_journal
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.segmentation import startup
from kkg_area_detection.segmentation.startup import Startup

NOWHERE = "cuda:99"  # a good name, and no device of any machine
THREAD = "kkg-startup"


class Sink:
    """Notes what it is told."""

    def __init__(self):
        self.started = []
        self.amounts = []

    @property
    def done(self):
        return sum(self.amounts)

    def start(self, description, total_bytes):
        self.started.append(total_bytes)

    def advance(self, n_bytes):
        self.amounts.append(n_bytes)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@pytest.fixture
def asked(monkeypatch):
    """Which devices were looked for, and in which threads."""
    calls = []
    original = startup.resolve_device

    def resolve_device(device):
        calls.append((device, threading.current_thread().name))
        return original(device)

    monkeypatch.setattr(startup, "resolve_device", resolve_device)
    return calls


@pytest.fixture
def uploaded(s3, prefix, demo_model, reader_environment, tmp_path):
    """The bundled model lies in S3 under the name "demo"; this is the cache that it comes to."""
    s3.upload(demo_model, f"{prefix}demo/")
    return tmp_path / "cache"


# --- without a download ------------------------------------------------------------------------------------


def test_nothing_is_started_before_a_download(asked):
    preparation = Startup("cpu", Sink())
    assert not threads()
    assert not asked
    assert preparation.device() == torch.device("cpu")
    assert asked == [("cpu", "MainThread")]


def test_a_device_that_is_not_usable():
    with pytest.raises(DeviceError):
        Startup(NOWHERE, Sink()).device()


# --- during a download -------------------------------------------------------------------------------------


def test_progress_is_passed_on(asked):
    sink = Sink()
    preparation = Startup("cpu", sink)
    for total in (100, 50):  # where a model changes in S3 meanwhile, its download begins anew
        preparation.start("Fetching", total)
    for n_bytes in (30, 40, -30):
        preparation.advance(n_bytes)
    assert (sink.started, sink.done) == ([100, 50], 40)
    assert preparation.device() == torch.device("cpu")
    assert asked == [("cpu", THREAD)]
    assert not threads()


def test_a_device_that_is_not_usable_ends_the_progress():
    preparation = Startup(NOWHERE, Sink())
    preparation.start("Fetching", 100)
    for thread in threads():
        thread.join()
    for call in (lambda: preparation.advance(1), preparation.device, lambda: preparation.advance(1)):
        with pytest.raises(DeviceError):
            call()


def test_what_else_goes_wrong_is_not_lost(monkeypatch):
    def break_down(device):
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(startup, "resolve_device", break_down)
    preparation = Startup("cpu", Sink())
    preparation.start("Fetching", 100)
    with pytest.raises(OSError, match="libcudart"):
        preparation.device()


def test_first_from_s3_then_from_the_cache(uploaded, asked):
    sink = Sink()
    preparation = Startup("cpu", sink)
    assert resolve_model(None, "demo", preparation) == uploaded / "demo"
    assert preparation.device() == torch.device("cpu")
    assert sink.started == [sink.done]
    assert asked == [("cpu", THREAD)]
    assert not threads()

    asked.clear()
    cached = Startup("cpu", sink)
    resolve_model(None, "demo", cached)
    assert not asked
    assert not threads()
    cached.device()
    assert asked == [("cpu", "MainThread")]
    assert len(sink.started) == 1


def test_torch_is_imported_while_bytes_arrive(uploaded):
    """The download goes on only when it has been; without the other thread it never would."""
    code = """
        import sys, time
        from kkg_area_detection.hub.resolve import resolve_model
        from kkg_area_detection.segmentation.startup import Startup

        class Sink:
            def start(self, description, total_bytes):
                pass
            def advance(self, n_bytes):
                deadline = time.monotonic() + 60
                while "kkg_area_detection.segmentation.segmenter" not in sys.modules:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)

        preparation = Startup("cpu", Sink())
        assert "torch" not in sys.modules
        resolve_model(None, "demo", preparation)
        print(preparation.device())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "cpu\n", done.stderr


def test_a_device_that_is_not_usable_ends_the_download(s3, prefix, uploaded, demo_model, monkeypatch):
    content = (demo_model / "model.safetensors").read_bytes()
    key = f"{prefix}demo/model.safetensors"  # in one part, as ranges begin where parts do
    s3.client(s3.admin).put_object(Bucket=s3.bucket, Key=key, Body=content)
    monkeypatch.setattr(tuning, "RANGE_BYTES", 1_000_000)
    monkeypatch.setattr(tuning, "WORKERS", 1)
    enough = threading.Event()
    original = startup.resolve_device

    def resolve_device(device):
        enough.wait(30)  # in the place of importing torch, which has long been imported here
        return original(device)

    monkeypatch.setattr(startup, "resolve_device", resolve_device)

    class SlowSink(Sink):
        def advance(self, n_bytes):
            super().advance(n_bytes)
            if self.done > 2_500_000:
                enough.set()
                for thread in threads():
                    thread.join()

    sink = SlowSink()
    with pytest.raises(DeviceError):
        resolve_model(None, "demo", Startup(NOWHERE, sink))
    assert sink.done < len(content)
    assert not threads()
    assert not (uploaded / "demo").exists()
    (left,) = (uploaded / ".kkg" / "staging").iterdir()
    kept = [record for record in read_journal(left / "journal")[1] if record.end - record.start == 1_000_000]
    assert kept

    sink = Sink()
    directory = resolve_model(None, "demo", Startup("cpu", sink))
    assert sink.amounts.count(1_000_000) == len(
        kept
    )  # taken over whole; what is fetched comes in small pieces
    assert (directory / "model.safetensors").read_bytes() == content
