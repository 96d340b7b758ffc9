import json
import shutil
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from PIL import Image
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.maskformer.image_processing_pil_maskformer import MaskFormerImageProcessorPil

from kkg_area_detection.errors import DeviceError, ImageError, InvalidModelError, UsageError
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings
from kkg_area_detection.segmentation.segmenter import Segmenter

CPU = torch.device("cpu")
PROCESSORS = [MaskFormerImageProcessorPil, Mask2FormerImageProcessorPil]


@pytest.fixture(scope="module", params=PROCESSORS)
def demo(request, demo_model, tmp_path_factory):
    """The bundled model, once with each of the two processors, beside transformers' own processor."""
    directory = tmp_path_factory.mktemp("demo") / "model"
    shutil.copytree(demo_model, directory)
    file = directory / "preprocessor_config.json"
    fields = json.loads(file.read_text()) | {
        "image_processor_type": request.param.__name__.removesuffix("Pil")
    }
    file.write_text(json.dumps(fields))
    return SimpleNamespace(
        segmenter=Segmenter.load(directory, CPU), processor=request.param.from_pretrained(directory)
    )


def as_transformers_does(demo, image, threshold):
    pixels = demo.processor(image, return_tensors="pt")["pixel_values"]
    outputs = demo.segmenter.engine.forward(pixels)
    named = SimpleNamespace(
        class_queries_logits=outputs.class_logits, masks_queries_logits=outputs.mask_logits
    )
    return demo.processor.post_process_instance_segmentation(
        named, threshold=threshold, target_sizes=[(image.height, image.width)]
    )[0]


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("plan", ["apartment-ja", "house-ja", "office-en"])
def test_real_plans_equal_those_of_transformers(demo, sample_plans, plan, threshold):
    image = Image.open(sample_plans[plan]).convert("RGB")
    image.thumbnail((640, 640))  # transformers' own post-processing takes seconds at full size
    expected = as_transformers_does(demo, image, threshold)
    result = demo.segmenter.segment(image, threshold)
    assert result["segments_info"] == expected["segments_info"]
    assert torch.equal(result["segmentation"], expected["segmentation"].int())
    assert result.image_size == image.size
    if threshold == 0.5:
        assert {result.label_of(info["id"]) for info in result["segments_info"]} >= {"room", "exwall"}


@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000), (40, 17), (5000, 3500)])
def test_any_size_of_image(demo, size):
    result = demo.segmenter.segment(Image.new("RGB", size, "white"), threshold=0.1)
    assert result["segmentation"].shape == (size[1], size[0])
    assert sum(result.pixel_counts().values()) <= size[0] * size[1]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_threshold_out_of_range(demo, threshold):
    with pytest.raises(UsageError, match="threshold"):
        demo.segmenter.segment(Image.new("RGB", (8, 8)), threshold)


def test_image_of_another_mode(demo):
    with pytest.raises(ImageError, match="mode RGBA"):
        demo.segmenter.segment(Image.new("RGBA", (8, 8)))


def test_model_without_processor_settings(swin_model):
    segmenter = Segmenter.load(swin_model, CPU)
    assert segmenter.settings == ProcessorSettings()


def test_malformed_processor_settings(swin_model):
    (swin_model / "preprocessor_config.json").write_text('{"size": "large"}')
    with pytest.raises(InvalidModelError, match="size"):
        Segmenter.load(swin_model, CPU)


def test_out_of_memory_is_explained():
    class FullEngine:
        id2label: ClassVar[dict[int, str]] = {}
        device = torch.device("cuda:0")

        def forward(self, pixel_values):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(DeviceError, match="cuda:0 ran out of memory on an input of 800 x 1088 pixels"):
        Segmenter(FullEngine(), ProcessorSettings()).segment(Image.new("RGB", (400, 300)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_finds_what_the_cpu_finds(demo_model, sample_plans):
    image = Image.open(sample_plans["house-ja"]).convert("RGB")
    on_cpu = Segmenter.load(demo_model, CPU).segment(image)
    on_gpu = Segmenter.load(demo_model, torch.device("cuda")).segment(image)
    assert repr(on_gpu) == repr(on_cpu)
    assert (on_gpu["segmentation"] != on_cpu["segmentation"]).float().mean() < 0.01
