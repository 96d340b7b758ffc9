"""Segment one drawing: python examples/basic_usage.py -i input.jpg -n large -d cuda."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image

import kkg_area_detection


def main() -> None:
    parser = argparse.ArgumentParser(description="Segment one drawing.")
    parser.add_argument("-i", "--image", type=Path, required=True, help="the drawing")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("-n", "--model-name", help="model from the cache, or from S3")
    which.add_argument("-p", "--model-path", type=Path, help="local model directory")
    parser.add_argument("-d", "--device", help="cuda, mps or cpu; without it the best one is used")
    parser.add_argument("-o", "--output", type=picture_path, help="write an overlay picture here")
    arguments = parser.parse_args()

    kkg_area_detection.initialize_model(
        model_path=arguments.model_path, device=arguments.device, model_name=arguments.model_name
    )
    result = kkg_area_detection.get_segmentation_result(arguments.image)

    for info in result["segments_info"]:
        print(f"{info['id']:4}  {result.id2label[info['label_id']]:<10} {info['score']:.2f}")
    if arguments.output:
        picture = kkg_area_detection.draw_segments(arguments.image, result)
        try:
            picture.save(arguments.output)
        except (OSError, ValueError) as error:
            sys.exit(f"Error: Cannot write {arguments.output}: {error}")
        print(f"Wrote {arguments.output}")


def picture_path(text: str) -> Path:
    path = Path(text)
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise argparse.ArgumentTypeError(f"{text} must end in .png, .jpg or another kind of picture")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {path.parent}")
    return path


if __name__ == "__main__":
    try:
        main()
    except kkg_area_detection.KkgAreaDetectionError as error:
        sys.exit(f"Error: {error}")
