"""The contract: what users call, on the bundled model and a real S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from PIL import Image

import kkg_area_detection as kkg
from kkg_area_detection import api
from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.documents import open_sheets
from kkg_area_detection.errors import (
    CredentialsError,
    DeviceError,
    ImageError,
    ImageNotFoundError,
    InvalidModelError,
    KkgAreaDetectionError,
    ModelNotFoundError,
    NotInitializedError,
    UsageError,
)
from kkg_area_detection.segmentation.engines import MaskOutputs
from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.engines.reference import load_network
from kkg_area_detection.segmentation.engines.selection import EngineChoice
from kkg_area_detection.segmentation.segmenter import Segmenter


@pytest.fixture(scope="module")
def loaded() -> api._LoadedModel:
    kkg.initialize_model(model_path=kkg.demo_model_path(), device="cpu")
    assert api._current is not None
    return api._current


@pytest.fixture
def model(loaded: api._LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled model is loaded."""
    monkeypatch.setattr(api, "_current", loaded)


def test_before_initialisation() -> None:
    with pytest.raises(NotInitializedError, match="initialize_model"):
        kkg.get_segmentation_result(Image.new("RGB", (8, 8)))
    with pytest.raises(NotInitializedError, match="initialize_model"):
        kkg.detect_areas(Image.new("RGB", (8, 8)))


# --- what an image may be ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3000, 1), (256, 256), (640, 480)])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_any_mode_and_size(model: None, mode: str, size: tuple[int, int]) -> None:
    result = kkg.get_segmentation_result(Image.new(mode, size))
    assert result["segmentation"].shape == size[::-1]
    assert result.image_size == size


def test_a_sheet_of_70_million_pixels(model: None, sample_plans: dict[str, Path]) -> None:
    with Image.open(sample_plans["office-en"]) as plan:
        sheet = plan.resize((10_000, 7_000))
    result = kkg.get_segmentation_result(sheet)
    assert result["segmentation"].shape == (7_000, 10_000)
    labels = [result.id2label[info["label_id"]] for info in result["segments_info"]]
    assert labels.count("room") >= 4


def test_path_image_and_array_give_the_same(model: None, sample_plans: dict[str, Path]) -> None:
    path = sample_plans["apartment-ja"]
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    results = [kkg.get_segmentation_result(source) for source in (path, str(path), rgb, np.asarray(rgb))]
    for other in results[1:]:
        assert torch.equal(results[0]["segmentation"], other["segmentation"])
        assert results[0]["segments_info"] == other["segments_info"]


def test_what_is_no_image(model: None, tmp_path: Path) -> None:
    (tmp_path / "plan.png").write_text("no")
    with pytest.raises(ImageError):
        kkg.get_segmentation_result(tmp_path / "plan.png")


# --- what the result is ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["apartment-ja", "house-ja", "office-en"])
def test_rooms_and_walls_are_found(model: None, sample_plans: dict[str, Path], name: str) -> None:
    result = kkg.get_segmentation_result(sample_plans[name])
    found = [result.id2label[info["label_id"]] for info in result["segments_info"]]
    assert found.count("room") >= 5
    assert {"exwall", "inwall", "door"} <= set(found)


def test_the_result_is_the_mapping_that_transformers_gives(
    model: None, sample_plans: dict[str, Path]
) -> None:
    result = kkg.get_segmentation_result(sample_plans["office-en"])
    assert dict(result).keys() == {"segmentation", "segments_info"}
    assert not result["segmentation"].is_floating_point()
    for number, info in enumerate(result["segments_info"]):
        assert list(info) == ["id", "label_id", "was_fused", "score"]
        assert info["id"] == number
        assert info["label_id"] in result.id2label
        assert 0.5 <= info["score"] <= 1
        assert info["was_fused"] is False
    assert set(result["segmentation"].unique().tolist()) <= {-1, *range(len(result["segments_info"]))}


def test_equal_to_plain_transformers(model: None, demo_model: Path, sample_plans: dict[str, Path]) -> None:
    from transformers.models.maskformer.image_processing_pil_maskformer import MaskFormerImageProcessorPil

    with Image.open(sample_plans["house-ja"]) as opened:
        image = opened.convert("RGB")
    processor = MaskFormerImageProcessorPil.from_pretrained(demo_model)
    with torch.inference_mode():
        outputs = load_network(demo_model).eval()(**processor(image, return_tensors="pt"))
    (expected,) = processor.post_process_instance_segmentation(
        outputs, threshold=0.5, target_sizes=[(image.height, image.width)]
    )
    result = kkg.get_segmentation_result(image)
    assert [info | {"score": 0} for info in result["segments_info"]] == [
        info | {"score": 0} for info in expected["segments_info"]
    ]
    scores = [info["score"] for info in expected["segments_info"]]
    assert [info["score"] for info in result["segments_info"]] == pytest.approx(scores, abs=1e-5)
    assert (result["segmentation"] == expected["segmentation"]).float().mean() > 0.9999


def test_threshold(model: None, sample_plans: dict[str, Path]) -> None:
    few = kkg.get_segmentation_result(sample_plans["office-en"], threshold=0.9)["segments_info"]
    many = kkg.get_segmentation_result(sample_plans["office-en"], threshold=0.1)["segments_info"]
    assert 0 < len(few) < len(many)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_none(model: None, threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        kkg.get_segmentation_result(Image.new("RGB", (8, 8)), threshold=threshold)


def test_areas_of_a_plan(model: None, sample_plans: dict[str, Path]) -> None:
    areas = kkg.detect_areas(sample_plans["house-ja"], scale="20mm/px")
    assert len([area for area in areas if area.label == "room"]) >= 7
    assert shapely.coverage_is_valid([area.polygon for area in areas])
    assert areas.name == "house-ja.png"
    assert areas.scale == Scale(20.0, source="20 mm/px")
    assert {wall.label for wall in areas.walls} <= {"exwall", "inwall"}
    assert areas.walls
    with Image.open(sample_plans["house-ja"]) as image:
        assert areas.image_size == image.size


EVERY_LABEL = {"room", "exwall", "inwall", "door", "window"}


@pytest.mark.parametrize(
    ("options", "labels", "walls"),
    [
        ({"labels": ["door"]}, {"door"}, True),
        ({"wall_labels": []}, EVERY_LABEL, False),
        ({"painting": "exact", "simplify": 0}, EVERY_LABEL, True),
        ({"square": True, "tile": "auto"}, EVERY_LABEL, True),
        ({"threshold": 1.0}, set(), False),
    ],
)
def test_options_of_areas(
    model: None, sample_plans: dict[str, Path], options: dict[str, Any], labels: set[str], walls: bool
) -> None:
    areas = kkg.detect_areas(sample_plans["office-en"], **options)
    assert {area.label for area in areas} == labels
    assert bool(areas.walls) is walls
    if options.get("simplify") == 0:
        assert all(area.polygon.area == area.pixels for area in areas)


def test_the_areas_of_a_page(model: None, sample_plans: dict[str, Path], tmp_path: Path) -> None:
    """A sheet, and a page of a path, are the same; its resolution makes a ratio a scale."""
    with Image.open(sample_plans["house-ja"]) as image:
        plan = image.convert("RGB")
        plan.save(tmp_path / "図.pdf", save_all=True, append_images=[plan], resolution=200)
    *_, sheet = open_sheets(tmp_path / "図.pdf", dpi=150)
    one = kkg.detect_areas(sheet, scale="1/100")
    other = kkg.detect_areas(tmp_path / "図.pdf", page=2, dpi=150, scale=100)
    assert (one.name, one.scale) == (other.name, other.scale) == ("図.pdf#page=2", one.scale)
    assert one.scale is not None
    assert one.scale.mm_per_pixel == pytest.approx(25.4 / 150 * 100, rel=1e-3)
    assert [area.polygon for area in one] == [area.polygon for area in other]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": "large"}, "not a scale"),
        ({"painting": "rough"}, "exact, fine"),
        ({"threshold": 2}, "threshold is 2"),
        ({"labels": ["roof"]}, "no label roof"),
        ({"simplify": -1}, "simplify is -1"),
        ({"page": 2}, "has 1 page"),
    ],
)
def test_areas_that_cannot_be(
    model: None, sample_plans: dict[str, Path], options: dict[str, Any], words: str
) -> None:
    with pytest.raises((UsageError, ImageError), match=words):
        kkg.detect_areas(sample_plans["house-ja"], **options)


@pytest.mark.parametrize("tile", [None, "auto", (2000, 500)])
def test_a_small_drawing_is_seen_as_a_whole(
    model: None, sample_plans: dict[str, Path], tile: tuple[int, int] | str | None
) -> None:
    with Image.open(sample_plans["office-en"]) as plan:
        small = plan.convert("RGB").resize((480, 360))
    result = kkg.get_segmentation_result(small, tile=tile)  # type: ignore[arg-type]
    assert result == kkg.get_segmentation_result(small)


def test_windows(model: None, sample_plans: dict[str, Path]) -> None:
    result = kkg.get_segmentation_result(sample_plans["office-en"], tile=(1200, 300), progress=False)
    labels = [result.id2label[info["label_id"]] for info in result["segments_info"]]
    assert labels.count("room") >= 7
    assert result["segmentation"].shape == (1200, 1600)


@pytest.mark.parametrize("tile", ["large", 5, (10, 5), (600, 400), (600,), (600.5, 100)])
def test_windows_that_cannot_be(model: None, sample_plans: dict[str, Path], tile: object) -> None:
    with pytest.raises(UsageError, match="auto"):
        kkg.get_segmentation_result(sample_plans["office-en"], tile=tile)  # type: ignore[arg-type]


# --- loading -----------------------------------------------------------------------------------------------


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Directories that were loaded; the network itself is not built."""
    directories: list[Path] = []

    def load(directory: Path, *_: object) -> Segmenter:
        directories.append(directory)
        return object.__new__(Segmenter)

    monkeypatch.setattr(Segmenter, "load", load)
    return directories


def test_the_same_call_twice_loads_once(loads: list[Path], tiny_model: Path) -> None:
    for path in (tiny_model, str(tiny_model), tiny_model / "." / "."):
        kkg.initialize_model(model_path=path, device="cpu")
    assert len(loads) == 1


def test_a_changed_model_is_loaded_again(loads: list[Path], tiny_model: Path) -> None:
    kkg.initialize_model(model_path=tiny_model, device="cpu")
    os.utime(tiny_model / "config.json", (1, 1))
    kkg.initialize_model(model_path=tiny_model, device="cpu")
    assert len(loads) == 2


def test_sixteen_threads_load_once(loads: list[Path], tiny_model: Path) -> None:
    barrier = threading.Barrier(16)

    def call() -> None:
        barrier.wait()
        kkg.initialize_model(model_path=tiny_model, device="cpu")

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, UsageError),
        ({"model_path": "nowhere"}, ModelNotFoundError),
        ({"model_path": ".", "device": "cpu"}, InvalidModelError),
        ({"model_path": ".", "device": "gpu"}, DeviceError),
        ({"model_name": "../large"}, UsageError),
    ],
)
def test_a_failure_leaves_the_model_in_place(
    model: None, arguments: dict[str, str], error: type[KkgAreaDetectionError]
) -> None:
    before = api._current
    with pytest.raises(error):
        kkg.initialize_model(**arguments)  # type: ignore[arg-type]
    assert api._current is before


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_a_gpu(demo_model: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        kkg.initialize_model(model_path=demo_model, device="cuda")
    assert "CUDA" in str(caught.value)
    assert caught.value.next_step


# --- the whole way -----------------------------------------------------------------------------------------

FORBID_NETWORK = """
import sys
def forbid(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        raise RuntimeError(f"network: {event} {arguments}")
sys.addaudithook(forbid)
"""

INITIALISE = """
import kkg_area_detection
kkg_area_detection.initialize_model(model_name="demo", device="cpu")
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )


def test_first_from_s3_then_from_the_cache_without_network(
    s3: LocalS3, prefix: str, demo_model: Path, reader_environment: dict[str, str]
) -> None:
    s3.upload(demo_model, f"{prefix}demo/")
    assert "network: socket." in run_python(FORBID_NETWORK + INITIALISE).stderr
    first = run_python(INITIALISE)
    assert first.returncode == 0, first.stderr
    second = run_python(FORBID_NETWORK + INITIALISE + "assert 'boto3' not in sys.modules")
    assert second.returncode == 0, second.stderr


def test_without_boto3_a_path_works_and_a_name_says_what_to_install(
    demo_model: Path, reader_environment: dict[str, str]
) -> None:
    hide = "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
    assert "pip install boto3" in run_python(hide + INITIALISE).stderr
    by_path = INITIALISE.replace('model_name="demo"', f"model_path={str(demo_model)!r}")
    done = run_python(hide + by_path)
    assert done.returncode == 0, done.stderr


def test_a_wrong_secret(
    s3: LocalS3, reader_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(CredentialsError, match="copy the secret again"):
        kkg.initialize_model(model_name="demo", device="cpu", progress=False)


def test_a_damaged_cache_is_healed(
    s3: LocalS3, prefix: str, demo_model: Path, reader_environment: dict[str, str]
) -> None:
    s3.upload(demo_model, f"{prefix}demo/")
    kkg.initialize_model(model_name="demo", device="cpu", progress=False)
    cached = Path(reader_environment["MODEL_CACHE_DIR"]) / "demo"
    os.truncate(cached / "model.safetensors", 1000)
    kkg.initialize_model(model_name="demo", device="cpu", progress=False)
    original = (demo_model / "model.safetensors").read_bytes()
    assert (cached / "model.safetensors").read_bytes() == original


def test_settings_from_dotenv(
    s3: LocalS3,
    prefix: str,
    demo_model: Path,
    reader_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.upload(demo_model, f"{prefix}demo/")
    for name in reader_environment:
        monkeypatch.delenv(name)
    lines = [f"{name}={value}" for name, value in reader_environment.items()]
    (Path.cwd() / ".env").write_text("\n".join(lines))
    kkg.initialize_model(model_name="demo", device="cpu", progress=False)
    assert (Path(reader_environment["MODEL_CACHE_DIR"]) / "demo" / "config.json").exists()


# --- many images -------------------------------------------------------------------------------------------


def test_many_before_initialisation() -> None:
    with pytest.raises(NotInitializedError, match="initialize_model"):
        kkg.get_segmentation_results([Image.new("RGB", (8, 8))])


def test_many_give_what_each_gives(model: None, sample_plans: dict[str, Path]) -> None:
    images = [*sample_plans.values(), Image.new("RGB", (70, 20)), np.zeros((9, 5), dtype=np.uint8)] * 2
    expected = [kkg.get_segmentation_result(image) for image in images]
    assert list(kkg.get_segmentation_results(images)) == expected
    together = list(kkg.get_segmentation_results(iter(images), batch_size=4))
    assert [str(result) for result in together] == [str(result) for result in expected]


@pytest.mark.parametrize(
    "arguments", [{"threshold": 2}, {"batch_size": 0}, {"images": "plan.png"}, {"images": Path("plan.png")}]
)
def test_arguments_for_many_are_checked_at_the_call(model: None, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        kkg.get_segmentation_results(**({"images": []} | arguments))  # type: ignore[arg-type]


def test_one_bad_image_of_many(model: None, sample_plans: dict[str, Path]) -> None:
    paths = [sample_plans["house-ja"], Path("nowhere.png"), sample_plans["office-en"]]
    results = kkg.get_segmentation_results(paths)
    assert next(results).image_size == (1600, 1200)
    with pytest.raises(ImageNotFoundError, match=r"images\[1\].*nowhere.png"):
        next(results)
    assert next(results).image_size == (1600, 1200)
    assert list(results) == []


def test_the_model_of_the_call_stays(model: None, loads: list[Path], tiny_model: Path) -> None:
    results = kkg.get_segmentation_results([Image.new("RGB", (8, 8))] * 20)
    next(results)
    kkg.initialize_model(model_path=tiny_model, device="cpu")
    assert loads == [tiny_model]
    assert len(list(results)) == 19


def test_progress_of_many(model: None, caplog: pytest.LogCaptureFixture) -> None:
    images = [Image.new("RGB", (8, 8))] * 3
    with caplog.at_level("INFO", logger="kkg_area_detection.progress"):
        list(kkg.get_segmentation_results(images, progress=False))
        assert caplog.messages == []
        list(kkg.get_segmentation_results(images))
    assert caplog.messages[0] == "Segmenting images: 3"


# --- engines -----------------------------------------------------------------------------------------------


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Engine and precision of every load; the network itself is not built."""
    chosen: list[tuple[str, str]] = []

    def load(_: Path, __: torch.device, choice: EngineChoice, *___: object) -> Segmenter:
        chosen.append((choice.engine, choice.precision))
        return object.__new__(Segmenter)

    monkeypatch.setattr(Segmenter, "load", load)
    return chosen


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"engine": "natvie"}, "no engine 'natvie'"),
        ({"precision": "fp16"}, "no precision 'fp16'"),
        ({"engine": "reference", "precision": "bfloat16"}, "does not run in bfloat16"),
    ],
)
def test_engines_are_checked_before_anything_is_fetched(
    loads: list[Path], arguments: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        kkg.initialize_model(model_name="large", **arguments)  # type: ignore[arg-type]
    assert not loads


@pytest.mark.parametrize(
    ("variable", "dotenv", "argument", "expected"),
    [
        (None, None, None, "auto"),
        ("", "", "", "auto"),
        ("reference", None, None, "reference"),
        (None, "reference", None, "reference"),
        ("native", "reference", None, "native"),
        (" Native ", None, None, "native"),
        ("reference", "reference", "native", "native"),
        ("reference", None, "auto", "auto"),
    ],
)
def test_engine_from_the_environment(
    choices: list[tuple[str, str]],
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    dotenv: str | None,
    argument: str | None,
    expected: str,
) -> None:
    if variable is not None:
        monkeypatch.setenv("KKG_ENGINE", variable)
    if dotenv is not None:
        (Path.cwd() / ".env").write_text(f"KKG_ENGINE={dotenv}")
    kkg.initialize_model(model_path=tiny_model, device="cpu", engine=argument)
    assert choices == [(expected, "auto")]


def test_a_typo_in_the_environment(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KKG_ENGINE", "natvie")
    with pytest.raises(UsageError, match="no engine 'natvie'"):
        kkg.initialize_model(model_path=tiny_model, device="cpu")


def test_another_engine_or_precision_loads_anew(choices: list[tuple[str, str]], tiny_model: Path) -> None:
    calls = [("native", "auto"), ("reference", "auto"), ("native", "bfloat16"), ("native", "auto")]
    for engine, precision in calls:
        for _ in range(2):
            kkg.initialize_model(model_path=tiny_model, device="cpu", engine=engine, precision=precision)
    assert choices == calls


@pytest.mark.parametrize(("warmup", "runs"), [(True, 1), (False, 0)])
def test_warming_up_runs_the_network_once(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch, warmup: bool, runs: int
) -> None:
    shapes = []
    forward = NativeEngine.forward

    def counted(engine: NativeEngine, pixel_values: torch.Tensor) -> MaskOutputs:
        shapes.append(tuple(pixel_values.shape))
        return forward(engine, pixel_values)

    monkeypatch.setattr(NativeEngine, "forward", counted)
    kkg.initialize_model(model_path=demo_model, device="cpu", warmup=warmup)
    assert shapes == [(1, 3, 512, 384)] * runs


def test_a_failed_warm_up_leaves_the_model_in_place(
    model: None, loads: list[Path], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Segmenter) -> None:
        raise DeviceError("cuda ran out of memory.")

    monkeypatch.setattr(Segmenter, "warm_up", fail)
    before = api._current
    with pytest.raises(DeviceError):
        kkg.initialize_model(model_path=tiny_model, device="cpu", warmup=True)
    assert loads == [tiny_model]
    assert api._current is before


def test_eight_threads_get_what_one_gets(model: None, sample_plans: dict[str, Path]) -> None:
    plans = [Image.open(path).convert("RGB") for path in sample_plans.values()]
    images = [plans[number % 3].resize((200 + 97 * number, 900 - 83 * number)) for number in range(8)]
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # for each of the eight
    try:
        expected = [kkg.get_segmentation_result(image) for image in images]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(kkg.get_segmentation_result, images * 2)) == expected * 2
    finally:
        torch.set_num_threads(before)


def test_a_local_model_needs_little(demo_model: Path, sample_plans: dict[str, Path]) -> None:
    code = f"""
        import sys
        import kkg_area_detection
        kkg_area_detection.initialize_model(model_path={str(demo_model)!r}, device="cpu")
        result = kkg_area_detection.get_segmentation_result({str(sample_plans["house-ja"])!r})
        assert result["segments_info"]
        heavy = {{"transformers", "huggingface_hub", "tokenizers", "boto3", "botocore", "scipy"}}
        print(sorted(heavy & sys.modules.keys()))
    """
    done = run_python(code)
    assert done.stdout == "[]\n", done.stderr
