"""Models of the published shapes with random weights, for timing what no published weights are needed for.

    python benchmarks/models.py swin-t DIRECTORY SHEET.png

As they are born, such models find nothing: no query passes the threshold, masks are noise, all queries look at
the same places, and post-processing would have nothing to do. So their weights are shaped a little, from a seed:
about a third of the queries become segments of some per cent of the picture each, and the deformable attention
looks where the picture leads it. What they find means nothing; what it costs does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SWINS = {
    "swin-t": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "swin-l": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}
QUERIES = {"swin-t": 100, "swin-l": 200}
LABELS = ("room", "exwall", "inwall", "door")
PREPROCESSOR = {
    "image_processor_type": "MaskFormerImageProcessor",
    "size": {"shortest_edge": 800, "longest_edge": 1333},
    "size_divisor": 32,
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "resample": 2,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "rescale_factor": 1 / 255,
}

CLASS_SPREAD = 4.0  # of the class logits over the queries: one label, or none, is clearly ahead
NO_OBJECT = 5.0  # is added to the logit of "no object"
MASK_SPREAD = 8.0  # of the mask logits over the picture
MASK_THRESHOLD = 12.0  # is taken from them: a mask covers what lies 1.5 spreads above the mean
SPREAD_OF_OFFSETS = 1.5  # of the sampling points of deformable attention, in cells
SPREAD_OF_ATTENTION = 1.0  # of the logits of their weights
DECODER_BRANCHES = 0.1  # what is left of what the decoder adds to a query, else all queries end up alike


def main() -> None:
    import transformers
    from PIL import Image

    from kkg_area_detection.segmentation.preprocessing import EdgeLimits, ProcessorSettings, prepare

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=SWINS)
    parser.add_argument("directory", type=Path)
    parser.add_argument("sheet", type=Path, help="a picture like those that it will see")
    options = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    half = ProcessorSettings(size=EdgeLimits(400, 667))  # enough to shape weights, at a quarter of the time
    with Image.open(options.sheet) as sheet:
        sample = prepare(sheet.convert("RGB"), half)
    write_model(options.directory, options.name, sample)


def write_model(directory: Path, name: str, sample: NDArray[np.float32], seed: int = 0) -> None:
    """Make a model directory.

    Args:
        directory: Is created.
        name: A key of ``SWINS``.
        sample: Shape (3, h, w): a prepared picture, on which the weights are shaped.
        seed: The same seed gives the same weights.
    """
    import torch
    from transformers import Mask2FormerForUniversalSegmentation

    torch.manual_seed(seed)
    network = Mask2FormerForUniversalSegmentation(_config(name)).eval()
    with torch.inference_mode():
        _shape_attention(network.model)
        _shape_mask_features(network.model.pixel_level_module, torch.from_numpy(sample)[None])
        _shape_heads(network)
    network.save_pretrained(directory)
    (directory / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))


def _config(name: str) -> Any:
    from transformers import Mask2FormerConfig, SwinConfig

    stages = ["stage1", "stage2", "stage3", "stage4"]
    return Mask2FormerConfig(
        backbone_config=SwinConfig(**SWINS[name], out_features=stages, drop_path_rate=0.3),
        num_queries=QUERIES[name],
        id2label=dict(enumerate(LABELS)),
    )


def _shape_attention(model: Any) -> None:
    """Let deformable attention depend on the picture, as training does, and queries stay different."""
    for layer in model.pixel_level_module.decoder.encoder.layers:
        attention = layer.self_attn
        spread = attention.sampling_offsets.in_features**-0.5  # its input is normalised
        attention.sampling_offsets.weight.normal_(std=SPREAD_OF_OFFSETS * spread)
        attention.attention_weights.weight.normal_(std=SPREAD_OF_ATTENTION * spread)
    for layer in model.transformer_module.decoder.layers:
        for last in (layer.self_attn.out_proj, layer.cross_attn.out_proj, layer.fc2):
            last.weight *= DECODER_BRANCHES


def _shape_mask_features(pixel_level_module: Any, pixel_values: Any) -> None:
    """Give mask features zero mean and unit spread; the first is always 1, and will carry the threshold."""
    features = pixel_level_module(pixel_values).decoder_last_hidden_state
    mean, spread = features.mean((0, 2, 3)), features.std((0, 2, 3))
    projection = pixel_level_module.decoder.mask_projection
    projection.weight /= spread[:, None, None, None]
    projection.bias.copy_((projection.bias - mean) / spread)
    projection.weight[0] = 0
    projection.bias[0] = 1


def _shape_heads(network: Any) -> None:
    """Draw the heads anew, so that queries differ in label and mask."""
    decoder = network.model.transformer_module.decoder
    queries = decoder.layernorm(network.model.transformer_module.queries_features.weight)
    spread = queries.shape[1] ** -0.5
    network.class_predictor.weight.normal_(std=CLASS_SPREAD * spread)
    network.class_predictor.bias.zero_()
    network.class_predictor.bias[-1] = NO_OBJECT

    first, second, last = (
        next(block.children()) for block in decoder.mask_predictor.mask_embedder.children()
    )
    for layer in (first, second):
        layer.weight.normal_(std=2**0.5 * spread)  # keeps the size of what goes through ReLU
    hidden = second(first(queries).relu()).relu()
    hidden_mean, hidden_spread = hidden.mean(0), hidden.std(0).square().sum().sqrt()
    last.weight.normal_(std=float(MASK_SPREAD * spread / hidden_spread))
    last.bias.copy_(-last.weight @ hidden_mean)
    last.weight[0] = 0
    last.bias[0] = -MASK_THRESHOLD


if __name__ == "__main__":
    main()
