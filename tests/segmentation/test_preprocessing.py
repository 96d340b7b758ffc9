import json

import numpy as np
import pytest
from PIL import Image
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.maskformer.image_processing_pil_maskformer import MaskFormerImageProcessorPil

from kkg_area_detection.errors import ImageError, InvalidModelError
from kkg_area_detection.segmentation.preprocessing import (
    SETTINGS_FILE,
    BoxLimits,
    EdgeLimits,
    FixedSize,
    ProcessorSettings,
    input_shape,
    prepare,
)


def noise(width, height):
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def settings_of(directory, fields):
    (directory / SETTINGS_FILE).write_text(json.dumps(fields))
    return ProcessorSettings.from_directory(directory)


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({}, "size", EdgeLimits(800, 1333)),
        ({"size": 640}, "size", EdgeLimits(640, 1333)),
        ({"size": 640, "max_size": 2560}, "size", EdgeLimits(640, 2560)),
        ({"max_size": 1000}, "size", EdgeLimits(800, 1000)),
        ({"size": None}, "size", EdgeLimits(800, 1333)),
        ({"size": [480, 640]}, "size", FixedSize(480, 640)),
        ({"size": {"height": 480, "width": 640}}, "size", FixedSize(480, 640)),
        ({"size": {"max_height": 480, "max_width": 640}}, "size", BoxLimits(480, 640)),
        ({"size": {"shortest_edge": 512, "longest_edge": 512}}, "size", EdgeLimits(512, 512)),
        # A field of null, as some releases write all the names they know
        ({"size": {"shortest_edge": 5, "longest_edge": 9, "height": None}}, "size", EdgeLimits(5, 9)),
        ({}, "size_divisor", 32),
        ({"size_divisor": 0}, "size_divisor", 0),
        ({"size_divisibility": 16}, "size_divisor", 16),
        ({"size_divisor": 64, "size_divisibility": 16}, "size_divisor", 64),
        ({}, "resample", Image.Resampling.BILINEAR),
        ({"resample": 3}, "resample", Image.Resampling.BICUBIC),
        ({"do_resize": False}, "do_resize", False),
        ({"do_rescale": None}, "do_rescale", False),
        ({"image_mean": 0.5}, "mean", (0.5, 0.5, 0.5)),
        ({"image_std": [1, 2.5, 3]}, "std", (1, 2.5, 3)),
        ({"rescale_factor": 1}, "rescale_factor", 1),
        ({"pad_size": None, "do_reduce_labels": True, "ignore_index": 255}, "kind", "mask2former"),
    ],
)
def test_fields(tmp_path, fields, attribute, expected):
    assert getattr(settings_of(tmp_path, fields), attribute) == expected


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"image_processor_type": "MaskFormerImageProcessor"}, "maskformer"),
        ({"image_processor_type": "MaskFormerImageProcessorFast"}, "maskformer"),
        ({"image_processor_type": "MaskFormerImageProcessorPil"}, "maskformer"),
        ({"image_processor_type": "Mask2FormerImageProcessor"}, "mask2former"),
        ({"image_processor_type": "Mask2FormerImageProcessorFast"}, "mask2former"),
        ({"feature_extractor_type": "MaskFormerFeatureExtractor"}, "maskformer"),
        ({"feature_extractor_type": "Mask2FormerFeatureExtractor"}, "mask2former"),
        # The newer name wins, as in transformers
        (
            {
                "image_processor_type": "Mask2FormerImageProcessor",
                "feature_extractor_type": "MaskFormerFeatureExtractor",
            },
            "mask2former",
        ),
    ],
)
def test_kind(tmp_path, fields, kind):
    assert settings_of(tmp_path, fields).kind == kind


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"image_processor_type": "DetrImageProcessor"}, 'image_processor_type .* "DetrImageProcessor"'),
        ({"feature_extractor_type": 7}, "feature_extractor_type .* 7"),
        ({"size": "800"}, 'size .* "800"'),
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"size": [480]}, "size"),
        ({"size": {}}, "size"),
        ({"size": {"shortest_edge": 800}}, "size"),  # transformers refuses it as well, at the first image
        ({"size": {"shortest_edge": 800, "longest_edge": 1333.5}}, "size"),
        ({"size": {"height": 480, "width": 640, "depth": 3}}, "size"),
        ({"size": 640, "max_size": -1}, "max_size"),
        ({"size_divisor": -32}, "size_divisor"),
        ({"size_divisibility": "32"}, "size_divisibility"),
        ({"pad_size": {"height": 800, "width": 800}}, "pad_size"),
        ({"resample": 99}, "resample"),
        ({"resample": "bilinear"}, "resample"),
        ({"do_normalize": 1}, "do_normalize"),
        ({"rescale_factor": "1/255"}, "rescale_factor"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"image_mean": [0.5, 0.5, float("nan")]}, "image_mean"),
        ({"image_std": [0.5, 0, 0.5]}, "image_std"),
    ],
)
def test_malformed_fields_are_named(tmp_path, fields, named):
    with pytest.raises(InvalidModelError, match=named) as caught:
        settings_of(tmp_path, fields)
    assert SETTINGS_FILE in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe{}"])
def test_unreadable_file(tmp_path, content):
    (tmp_path / SETTINGS_FILE).write_bytes(content)
    with pytest.raises(InvalidModelError, match=SETTINGS_FILE):
        ProcessorSettings.from_directory(tmp_path)


def test_missing_file_means_the_defaults_of_transformers(tmp_path):
    settings = ProcessorSettings.from_directory(tmp_path)
    assert settings == ProcessorSettings()
    image = noise(90, 60)
    expected = Mask2FormerImageProcessorPil()(image, return_tensors="np")["pixel_values"][0]
    np.testing.assert_array_equal(prepare(image, settings), expected)


def test_dangling_link_is_not_taken_for_a_missing_file(tmp_path):
    (tmp_path / SETTINGS_FILE).symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidModelError, match=SETTINGS_FILE):
        ProcessorSettings.from_directory(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (33, 7), (100, 100), (257, 640), (640, 257), (500, 5)])
@pytest.mark.parametrize(
    "fields",
    [
        {"size": {"shortest_edge": 128, "longest_edge": 300}},
        {"size": {"shortest_edge": 257, "longest_edge": 2000}},  # one side may already have that length
        {"size": {"shortest_edge": 200, "longest_edge": 64}},
        {"size": 100, "max_size": 333, "size_divisor": 7, "resample": 3},
        {"size": [96, 160], "size_divisor": 0, "resample": 1},
        {"size": {"max_height": 120, "max_width": 200}, "size_divisor": 1, "resample": 0},
        {"do_resize": False, "image_mean": 0.5, "image_std": [0.2, 0.3, 0.4]},
        {"do_resize": False, "do_rescale": False},
        {"do_resize": False, "do_normalize": False, "rescale_factor": 1 / 127.5},
        {"do_resize": False, "do_normalize": False, "do_rescale": False},
    ],
)
def test_pixels_equal_those_of_transformers(tmp_path, fields, size):
    image = noise(*size)
    settings = settings_of(tmp_path, {"image_processor_type": "MaskFormerImageProcessor"} | fields)
    ours = prepare(image, settings)
    try:
        theirs = MaskFormerImageProcessorPil.from_pretrained(tmp_path)(image, return_tensors="np")
    except ValueError:  # transformers rounded a side down to 0
        assert min(ours.shape[1:]) == max(1, settings.size_divisor)
        return
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs["pixel_values"][0].astype(np.float32))


@pytest.mark.parametrize(
    ("image_size", "shape"),
    [
        ((1, 1), (800, 800)),
        ((10_000, 1), (32, 1344)),
        ((1, 3_000), (1344, 32)),
        ((10_000, 7_000), (800, 1152)),
        ((2480, 3508), (1152, 800)),
    ],
)
def test_extreme_sizes(image_size, shape):
    pixels = prepare(Image.new("RGB", image_size, "white"), ProcessorSettings())
    assert pixels.shape == (3, *shape)
    assert np.isfinite(pixels).all()


@pytest.mark.parametrize("rule", [EdgeLimits(800, 1333), BoxLimits(100, 100), FixedSize(1, 1)])
@pytest.mark.parametrize("divisor", [0, 1, 32])
def test_no_side_is_ever_empty(rule, divisor):
    settings = ProcessorSettings(size=rule, size_divisor=divisor)
    for height, width in [(1, 100_000), (100_000, 1), (1, 1)]:
        assert min(input_shape(height, width, settings)) >= max(1, divisor)


def test_other_modes_are_refused():
    with pytest.raises(ImageError, match="mode L"):
        prepare(Image.new("L", (8, 8)), ProcessorSettings())
