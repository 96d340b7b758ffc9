import gc
import io
import itertools
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from kkg_area_detection.errors import DeviceError, ImageError, ImageNotFoundError, UsageError
from kkg_area_detection.segmentation import pipeline
from kkg_area_detection.segmentation.engines import MaskOutputs
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.pipeline import PLACES_A_BATCH, Pipeline
from kkg_area_detection.segmentation.prefetch import Prefetch
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings
from kkg_area_detection.segmentation.segmenter import Segmenter
from kkg_area_detection.segmentation.streaming import SegmentationStream, default_batch_size

CPU = torch.device("cpu")


class Progress:
    """Notes what it is told."""

    def __init__(self):
        self.started = None
        self.done = 0
        self.open = False

    def start(self, description, total):
        self.started = (description, total)

    def advance(self, n):
        self.done += n

    @contextmanager
    def shown(self):
        self.open = True
        yield self
        self.open = False


class NumberReader:
    """In the place of a ``Segmenter``: a picture's "result" is the number that its colour tells.

    It counts what is alive, and a test can hold it up or make it fail at each step.
    """

    def __init__(self, device=CPU):
        self.engine = SimpleNamespace(device=device)
        self.batches = []
        self.live_pixels = weakref.WeakSet()
        self.live_logits = weakref.WeakSet()
        self.most_pixels = self.most_logits = 0
        self.before_run = lambda batch: None
        self.before_prepare = lambda number: None
        self.before_finish = lambda number: None

    def prepare(self, image):
        red, green, _ = image.getpixel((0, 0))
        number = 256 * red + green
        self.before_prepare(number)
        pixels = Pixels((3, image.height, image.width), dtype=np.float32)
        pixels[:] = number
        self.live_pixels.add(pixels)
        self.most_pixels = max(self.most_pixels, len(self.live_pixels))
        return pixels

    def run(self, pixel_values):
        assert pixel_values.dtype == torch.float32
        numbers = pixel_values[:, 0, 0, 0]
        batch = numbers.int().tolist()
        self.before_run(batch)
        self.batches.append(batch)
        logits = numbers[:, None, None].clone()
        self.live_logits.add(logits)
        self.most_logits = max(self.most_logits, len(self.live_logits))
        return MaskOutputs(class_logits=logits, mask_logits=logits)

    def finish(self, class_logits, mask_logits, image_shape, threshold):
        number = int(class_logits.item())
        self.before_finish(number)
        assert image_shape == size_of(number)[::-1]
        return number


class Pixels(np.ndarray):
    """An array that a ``WeakSet`` can hold: it compares as an object."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


SIZES = [(4, 6), (6, 4), (5, 5)]


def size_of(number):
    """Width and height; the order of sizes repeats nowhere soon."""
    return SIZES[number * number % 7 % 3]


def picture(number):
    return Image.new("RGB", size_of(number), (number // 256, number % 256, 0))


def stream(reader, images, *, batch_size=1, threshold=0.5, progress=None):
    return SegmentationStream(
        reader,
        images,
        batch_size=batch_size,
        threshold=threshold,
        progress=(progress or Progress()).shown(),
    )


@pytest.fixture(params=["cpu", "cuda"])
def reader(request, monkeypatch):
    """Once with the threads of a processor, once with those of a GPU, though its outputs are on the CPU."""
    monkeypatch.setattr(Pipeline, "_mark", lambda self: None)
    monkeypatch.setattr(pipeline, "_same_gpu", nullcontext)
    return NumberReader(torch.device(request.param))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    wait_until(lambda: not our_threads())


def our_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("kkg-")]


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- the bundled model -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def segmenter(demo_model):
    return Segmenter(ReferenceEngine.load(demo_model, CPU), ProcessorSettings.from_directory(demo_model))


@pytest.fixture(scope="module")
def mixed(sample_plans, segmenter):
    """Eleven images of five sizes (three shapes of the network's input), and their results one by one."""
    plans = [Image.open(path).convert("RGB") for path in sample_plans.values()]
    images = [*plans, plans[0].rotate(90, expand=True), plans[1].resize((333, 250))]
    images += [images[place] for place in (1, 0, 2, 4, 3, 1)]
    return images, [segmenter.segment(image) for image in images]


def test_one_at_a_time_equals_the_loop_exactly(segmenter, mixed):
    images, expected = mixed
    assert list(stream(segmenter, images, batch_size=1)) == expected


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_batches_find_what_the_loop_finds(segmenter, mixed, batch_size):
    images, expected = mixed
    results = list(stream(segmenter, images, batch_size=batch_size))
    assert len(results) == len(expected)
    for result, alone in zip(results, expected, strict=True):
        assert result.image_size == alone.image_size
        assert [info["label_id"] for info in result["segments_info"]] == [
            info["label_id"] for info in alone["segments_info"]
        ]
        assert [info["score"] for info in result["segments_info"]] == pytest.approx(
            [info["score"] for info in alone["segments_info"]], abs=1e-5
        )
        assert (result.id_grid != alone.id_grid).mean() < 1e-3


def test_the_threshold_counts(segmenter, mixed):
    images, _ = mixed
    (few,) = stream(segmenter, images[:1], threshold=0.9)
    (many,) = stream(segmenter, images[:1], threshold=0.1)
    assert few == segmenter.segment(images[0], 0.9)
    assert len(few["segments_info"]) < len(many["segments_info"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_finds_what_the_loop_finds(demo_model, mixed):
    engine = ReferenceEngine.load(demo_model, torch.device("cuda"))
    segmenter = Segmenter(engine, ProcessorSettings.from_directory(demo_model))
    images, _ = mixed
    expected = [segmenter.segment(image) for image in images]
    for result, alone in zip(stream(segmenter, images * 5, batch_size=None), expected * 5, strict=True):
        assert repr(result) == repr(alone)
        assert (result.id_grid != alone.id_grid).mean() < 0.01


# --- order, batches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 60])
def test_results_come_in_the_order_of_the_images(reader, count, batch_size):
    choice = random.Random(count)
    reader.before_prepare = lambda number: time.sleep(choice.choice([0, 0, 0.004]))
    reader.before_finish = lambda number: time.sleep(choice.choice([0, 0, 0.004]))
    assert list(stream(reader, map(picture, range(count)), batch_size=batch_size)) == list(range(count))
    for batch in reader.batches:
        assert len({size_of(number) for number in batch}) == 1
        assert len(batch) <= batch_size
    if batch_size > 1 and count == 60:
        assert len(reader.batches) < 45


def test_the_same_batches_each_time(reader):
    choice = random.Random(0)
    seen = set()
    for _ in range(3):
        reader.batches = []
        reader.before_prepare = lambda number: time.sleep(choice.choice([0, 0, 0.01]))
        reader.before_run = lambda batch: time.sleep(choice.choice([0, 0.01]))
        list(stream(reader, map(picture, range(40)), batch_size=3))
        seen.add(str(reader.batches))
    assert len(seen) == 1


def test_the_iterable_ends_at_a_bad_moment(reader, monkeypatch):
    """Between the question whether more will come and the one whether all have been run."""
    ask = Pipeline._more_to_come

    def ask_slowly(self):
        answer = ask(self)
        time.sleep(0.1)
        return answer

    def images():
        yield picture(0)
        time.sleep(0.15)

    monkeypatch.setattr(Pipeline, "_more_to_come", ask_slowly)
    assert list(stream(reader, images(), batch_size=8)) == [0]


@pytest.mark.parametrize(("device", "expected"), [("cpu", 1), ("mps", 1), ("cuda", 8), ("cuda:1", 8)])
def test_default_batch_size(device, expected):
    assert default_batch_size(torch.device(device)) == expected


def test_stages_overlap(reader):
    """No step ends before all have begun: on a GPU the three of them, on a processor two at a time."""
    on_gpu = reader.engine.device.type == "cuda"
    meeting = threading.Barrier(3 if on_gpu else 2, timeout=10)
    reader.before_finish = lambda number: meeting.wait() if number == 0 else None
    reader.before_run = lambda batch: meeting.wait() if batch == [1] else None
    reader.before_prepare = lambda number: (
        meeting.wait() if number == 2 or (number == 3 and not on_gpu) else None
    )
    assert list(stream(reader, map(picture, range(5)))) == [0, 1, 2, 3, 4]


# --- laziness, memory --------------------------------------------------------------------------------------


def counted(count, asked):
    for number in range(count) if count else itertools.count():
        asked.append(number)
        yield picture(number)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_iterable_is_read_as_far_as_needed(reader, batch_size):
    asked = []
    results = stream(reader, counted(None, asked), batch_size=batch_size)
    assert our_threads() == []
    assert asked == []
    for number in range(20):
        assert next(results) == number
        wait_until(lambda number=number: len(asked) == number + 1 + PLACES_A_BATCH * batch_size)
    time.sleep(0.05)
    assert len(asked) == 20 + PLACES_A_BATCH * batch_size
    results.close()


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("slow", ["prepare", "run", "finish", "the caller"])
def test_memory_is_bounded_whatever_is_slow(reader, slow, batch_size):
    def wait(_):
        time.sleep(0.004)

    if slow != "the caller":
        setattr(reader, f"before_{slow}", wait)
    for number, result in enumerate(stream(reader, map(picture, range(100)), batch_size=batch_size)):
        assert result == number
        if slow == "the caller":
            wait(number)
    assert reader.most_pixels <= PLACES_A_BATCH * batch_size
    assert reader.most_logits <= 2
    assert not reader.live_pixels
    assert not reader.live_logits


def test_memory_is_bounded_while_the_network_stands_still(reader):
    gate = threading.Event()
    reader.before_run = lambda batch: gate.wait(10)
    results = stream(reader, map(picture, itertools.count()), batch_size=2)
    caller = threading.Thread(target=next, args=(results,))
    caller.start()
    wait_until(lambda: len(reader.live_pixels) == PLACES_A_BATCH * 2)
    time.sleep(0.1)
    assert len(reader.live_pixels) == PLACES_A_BATCH * 2
    gate.set()
    caller.join()
    results.close()
    assert not reader.live_pixels


def test_closing_lets_go_of_everything(reader):
    images = [picture(number) for number in range(9)]
    watched = [weakref.ref(image) for image in images]
    results = stream(reader, iter(images), batch_size=2)
    del images
    next(results)
    results.close()
    gc.collect()
    assert not reader.live_pixels
    assert not reader.live_logits
    assert [ref() for ref in watched] == [None] * 9


# --- what may be in the iterable ---------------------------------------------------------------------------


def test_files_images_and_arrays(reader, tmp_path):
    picture(0).save(tmp_path / "0.png")
    images = [str(tmp_path / "0.png"), tmp_path / "0.png", picture(1), np.asarray(picture(2))]
    assert list(stream(reader, images)) == [0, 0, 1, 2]


def test_an_array_that_is_used_again(reader):
    """Like the frames of a video that are read into one buffer."""

    def frames():
        buffer = np.zeros((6, 4, 3), dtype=np.uint8)
        for number in (0, 7, 14, 21, 28, 35):
            buffer[:] = np.asarray(picture(number))
            yield buffer

    assert list(stream(reader, frames(), batch_size=2)) == [0, 7, 14, 21, 28, 35]


def test_the_pages_of_one_file(reader, tmp_path):
    """Pillow gives the same object for each page."""
    from PIL import ImageSequence

    pages = [picture(number) for number in range(9)]
    pages[0].save(tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])
    with Image.open(tmp_path / "pages.tiff") as file:
        assert list(stream(reader, ImageSequence.Iterator(file), batch_size=3)) == list(range(9))


def test_an_array_of_images(reader):
    assert list(stream(reader, np.zeros((3, 6, 4, 3), dtype=np.uint8))) == [0, 0, 0]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_iterable_that_waits_for_the_results(reader, batch_size):
    """A batch that is not full cannot wait for ever."""
    received = threading.Semaphore(1)

    def one_by_one():
        for number in range(3):
            received.acquire()
            yield picture(number)

    results = []
    for result in stream(reader, one_by_one(), batch_size=batch_size):
        results.append(result)
        received.release()
    assert results == [0, 1, 2]


# --- errors ------------------------------------------------------------------------------------------------


def outcomes(results):
    """Results, and errors in their places."""
    found = []
    while True:
        try:
            found.append(next(results))
        except StopIteration:
            return found
        except Exception as error:  # noqa: BLE001 - the tests look at it
            found.append(error)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_images_that_cannot_be_opened(reader, tmp_path, batch_size):
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = [picture(number) for number in range(12)]
    images[0] = "nowhere.png"
    images[4] = tmp_path / "broken.png"
    images[5] = None
    images[11] = np.zeros((3, 3), dtype=np.float32)
    found = outcomes(stream(reader, images, batch_size=batch_size))
    assert [found[place] for place in range(12) if place not in (0, 4, 5, 11)] == [1, 2, 3, 6, 7, 8, 9, 10]
    assert [type(found[place]) for place in (0, 4, 5, 11)] == [ImageNotFoundError] + 3 * [ImageError]
    assert str(found[0]).startswith("images[0]: There is no file nowhere.png.")
    assert "images[4]: " in str(found[4])
    assert "broken.png" in str(found[4])
    assert "images[5]: An image of type NoneType" in str(found[5])
    assert "images[11]: An array of shape (3, 3)" in str(found[11])
    assert found[11].next_step


def test_memory_that_does_not_suffice_for_a_batch(reader, caplog):
    def at_most_two(batch):
        if len(batch) > 2:
            raise DeviceError("cuda:0 ran out of memory.")

    reader.before_run = at_most_two
    images = [Image.new("RGB", (4, 6), (0, number, 0)) for number in (0, 7, 14, 21, 28, 35, 42, 49)]
    assert list(stream(reader, images, batch_size=8)) == [0, 7, 14, 21, 28, 35, 42, 49]
    assert reader.batches == [[0, 7], [14, 21], [28, 35], [42, 49]]
    assert [record.getMessage() for record in caplog.records] == [
        "cuda:0 ran out of memory. Going on with batches of 4.",
        "cuda:0 ran out of memory. Going on with batches of 2.",
    ]


@pytest.mark.parametrize("stage", ["run", "finish"])
def test_memory_that_does_not_suffice_for_one_picture(reader, stage):
    def fail(what):
        if what == 2 or (stage == "run" and 2 in what):
            raise DeviceError("cuda:0 ran out of memory.", next_step="buy another")

    setattr(reader, f"before_{stage}", fail)
    found = outcomes(stream(reader, map(picture, range(5)), batch_size=2))
    assert found[:2] + found[3:] == [0, 1, 3, 4]
    assert type(found[2]) is DeviceError
    assert str(found[2]) == "images[2]: cuda:0 ran out of memory.\n  Next step: buy another"


def test_a_fault_of_the_engine_belongs_to_its_batch(reader):
    fault = RuntimeError("kernel")

    def fail(batch):
        if 3 in batch:
            raise fault

    reader.before_run = fail
    found = outcomes(stream(reader, [picture(0) if n != 3 else picture(7) for n in range(4)], batch_size=1))
    assert found == [0, 0, 0, 7]
    found = outcomes(stream(reader, map(picture, range(5)), batch_size=1))
    assert found == [0, 1, 2, fault, 4]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_iterable_that_raises(reader, batch_size):
    fault = KeyError("mine")

    def images():
        yield from map(picture, range(5))
        raise fault

    results = stream(reader, images(), batch_size=batch_size)
    assert [next(results) for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError) as caught:
        next(results)
    assert caught.value is fault
    assert list(results) == []


@pytest.mark.parametrize(
    ("owner", "step"), [(Prefetch, "_prepare"), (Pipeline, "_run"), (Pipeline, "_finish")]
)
def test_a_fault_of_our_own_is_no_hang(reader, monkeypatch, owner, step):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(owner, step, broken)
    results = stream(reader, map(picture, range(5)))
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"batch_size": 2.0}, "batch_size is 2.0"),
        ({"batch_size": True}, "batch_size is True"),
        ({"images": "plan.png"}, "a single str"),
        ({"images": Path("plan.png")}, f"a single {type(Path()).__name__}"),
        ({"images": io.BytesIO(b"png")}, "a single BytesIO"),
        ({"images": Image.new("RGB", (2, 2))}, "a single Image"),
        ({"images": np.zeros((2, 2, 3), dtype=np.uint8)}, "a single ndarray"),
    ],
)
def test_arguments_are_checked_at_the_call(reader, arguments, message):
    with pytest.raises(UsageError, match=message):
        stream(reader, **({"images": []} | arguments))


def test_what_is_no_iterable(reader):
    with pytest.raises(TypeError, match="not iterable"):
        stream(reader, 3)


# --- the end -----------------------------------------------------------------------------------------------


def leave_by_break(reader):
    for _ in stream(reader, map(picture, itertools.count()), batch_size=2):
        break


def leave_by_error(reader):
    with suppress(ZeroDivisionError):
        for _ in stream(reader, map(picture, itertools.count()), batch_size=2):
            raise ZeroDivisionError


def leave_by_dropping(reader):
    results = stream(reader, map(picture, itertools.count()), batch_size=2)
    next(results)
    assert our_threads()
    del results


def leave_by_with(reader):
    with stream(reader, map(picture, itertools.count()), batch_size=2) as results:
        next(results)
    assert list(results) == []


def leave_by_close(reader):
    results = stream(reader, map(picture, itertools.count()), batch_size=2)
    next(results)
    results.close()
    results.close()
    with pytest.raises(StopIteration):
        next(results)


def leave_before_the_first(reader):
    stream(reader, map(picture, itertools.count())).close()


def leave_after_the_last(reader):
    results = stream(reader, map(picture, range(5)))
    for _ in range(5):
        next(results)
    wait_until(lambda: not our_threads())


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_error,
        leave_by_dropping,
        leave_by_with,
        leave_by_close,
        leave_before_the_first,
        leave_after_the_last,
    ],
)
def test_no_thread_outlives_the_stream(reader, leave):
    reader.before_prepare = lambda number: time.sleep(0.02)
    began = time.monotonic()
    leave(reader)
    assert our_threads() == []
    assert time.monotonic() - began < 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pthread_kill")
@pytest.mark.parametrize("stage", ["prepare", "run", "finish"])
def test_ctrl_c_while_waiting_for_a_result(reader, stage):
    def interrupt(_):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.2)

    setattr(reader, f"before_{stage}", interrupt)
    results = stream(reader, map(picture, itertools.count()))
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert our_threads() == []
    assert list(results) == []


def test_an_iterable_that_never_answers(reader):
    """Closing does not wait for it; its thread ends as soon as it answers."""
    answer = threading.Event()

    def images():
        yield picture(0)
        answer.wait()
        yield picture(1)

    results = stream(reader, images())
    assert next(results) == 0
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 3
    assert our_threads() == ["kkg-prepare-one"]
    answer.set()
    wait_until(lambda: not our_threads())
    assert reader.batches == [[0]]


def test_dropped_in_one_of_its_own_threads(reader):
    """The garbage collector runs where it likes."""
    asked = []
    results = stream(reader, counted(None, asked))
    dropped = threading.Event()

    def collect(number):
        dropped.wait(10)
        gc.collect()

    gc.disable()
    try:
        next(results)
        wait_until(lambda: len(asked) == 1 + PLACES_A_BATCH)  # no thread asks for more until a place is free
        wait_until(lambda: len(reader.live_pixels) + sum(map(len, reader.batches)) >= len(asked))
        reader.before_prepare = collect
        next(results)
        cycle = SimpleNamespace(results=results)
        cycle.itself = cycle
        del cycle, results
        dropped.set()
        wait_until(lambda: not our_threads())
    finally:
        gc.enable()


def test_python_ends_while_a_stream_is_open():
    code = """
        import itertools
        from tests.segmentation.test_streaming import NumberReader, picture, stream
        results = stream(NumberReader(), map(picture, itertools.count()), batch_size=2)
        print(next(results), next(results))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0 1\n", "")


# --- progress ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "total"), [(list, 5), (iter, None), (tuple, 5)])
def test_progress(reader, images, total):
    progress = Progress()
    results = stream(
        reader, images([picture(0), picture(1), "nowhere", picture(3), picture(4)]), progress=progress
    )
    assert progress.started is None
    for done in range(1, 6):
        try:
            next(results)
        except ImageNotFoundError:
            assert done == 3
        assert progress.started == ("Segmenting images", total)
        assert progress.done == done
        assert progress.open or done == 5
    assert list(results) == []
    assert not progress.open
