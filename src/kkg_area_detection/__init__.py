"""Turns drawings of buildings into areas, with Mask2Former models kept in a private S3 bucket.

>>> import kkg_area_detection
>>> kkg_area_detection.initialize_model(model_name="large")          # doctest: +SKIP
>>> result = kkg_area_detection.get_segmentation_result("plan.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kkg_area_detection.api import (
        demo_model_path,
        detect_areas,
        get_segmentation_result,
        get_segmentation_results,
        initialize_model,
        publish_model,
    )
    from kkg_area_detection.areas.area import Area, Areas, Wall
    from kkg_area_detection.areas.detect import areas_from_result
    from kkg_area_detection.areas.draw import draw_segments
    from kkg_area_detection.areas.measure import Measures, measure_areas
    from kkg_area_detection.areas.picture import draw_areas
    from kkg_area_detection.areas.scale import Scale
    from kkg_area_detection.areas.schedule import Schedule, ScheduleRules, area_schedule
    from kkg_area_detection.areas.units import Rounding
    from kkg_area_detection.documents import open_sheets
    from kkg_area_detection.errors import KkgAreaDetectionError
    from kkg_area_detection.segmentation.result import SegmentationResult

__all__ = [
    "Area",
    "Areas",
    "KkgAreaDetectionError",
    "Measures",
    "Rounding",
    "Scale",
    "Schedule",
    "ScheduleRules",
    "SegmentationResult",
    "Wall",
    "__version__",
    "area_schedule",
    "areas_from_result",
    "demo_model_path",
    "detect_areas",
    "draw_areas",
    "draw_segments",
    "get_segmentation_result",
    "get_segmentation_results",
    "initialize_model",
    "measure_areas",
    "open_sheets",
    "publish_model",
]

# Public names are imported when they are first used (PEP 562), so that `import kkg_area_detection` and
# `kkg --help` need neither torch nor boto3.
_HOMES = {
    "Area": "areas.area",
    "Areas": "areas.area",
    "KkgAreaDetectionError": "errors",
    "Measures": "areas.measure",
    "Rounding": "areas.units",
    "Scale": "areas.scale",
    "Schedule": "areas.schedule",
    "ScheduleRules": "areas.schedule",
    "SegmentationResult": "segmentation.result",
    "Wall": "areas.area",
    "area_schedule": "areas.schedule",
    "areas_from_result": "areas.detect",
    "demo_model_path": "api",
    "detect_areas": "api",
    "draw_areas": "areas.picture",
    "draw_segments": "areas.draw",
    "get_segmentation_result": "api",
    "get_segmentation_results": "api",
    "initialize_model": "api",
    "measure_areas": "areas.measure",
    "open_sheets": "documents",
    "publish_model": "api",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("kkg-area-detection")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
