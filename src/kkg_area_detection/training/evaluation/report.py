"""An evaluation for people and for programs: a web page with pictures, and the same numbers as JSON."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from kkg_area_detection.areas.draw import draw_segments
from kkg_area_detection.areas.output import prepare_directory, replacing, save_json, save_picture
from kkg_area_detection.training.evaluation.evaluate import truth_as_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kkg_area_detection.training.evaluation.evaluate import Evaluation, WorstCase
    from kkg_area_detection.training.evaluation.scores import LabelScores

HEADINGS = {
    "there": "segments that are there",
    "found": "segments that the model says are there",
    "PQ": "panoptic quality: SQ x RQ",
    "SQ": "mean IoU of the segments that match",
    "F1": "RQ: harmonic mean of precision and recall at IoU 0.5",
    "F1 .75": "the same at IoU 0.75",
    "IoU": "of the pixels of the label",
    "border F": "how much of the borders is where it should be, to 0.75 % of the diagonal",
    "area ±": "mean difference from the true area of the segments that match",
    "bias": "mean of the same with its sign: below 0, areas come out too small",
}
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8886 }
td { font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; border: 1px solid #8886 }
figure { margin: 1.5rem 0 } .scroll { max-height: 30rem; overflow: auto }
"""


def write_report(
    evaluation: Evaluation, folder: Path, about: Mapping[str, str], mm_per_pixel: float | None
) -> Path:
    """Write ``report.html``, ``scores.json`` and the pictures of the worst drawings.

    Args:
        evaluation: At least one drawing.
        folder: Created where it is missing; files of an earlier report are replaced.
        about: What was evaluated, in words: the model, the drawings, the settings.
        mm_per_pixel: Scale of the drawings, for area errors in square metres; None leaves these out.

    Returns:
        The path of the page.

    Raises:
        OutputError: Something cannot be written.
    """
    prepare_directory(folder)
    for earlier in folder.glob("worst-*.png"):
        earlier.unlink(missing_ok=True)
    pictures = [(case, f"worst-{number:02}.png") for number, case in enumerate(evaluation.worst, start=1)]
    for case, name in pictures:
        save_picture(_side_by_side(case), folder / name)
    save_json(as_document(evaluation, about, mm_per_pixel), folder / "scores.json")
    page = folder / "report.html"
    with replacing(page) as temporary:
        temporary.write_text(_page(evaluation, about, mm_per_pixel, pictures), encoding="utf-8")
    return page


def as_document(
    evaluation: Evaluation, about: Mapping[str, str], mm_per_pixel: float | None
) -> dict[str, Any]:
    """All numbers, ready for ``json.dumps``; null where there is none."""
    return {
        "about": dict(about),
        "labels": {label: _numbers(scores, mm_per_pixel) for label, scores in evaluation.total.items()},
        "mean_iou": _or_none(evaluation.mean_iou),
        "images": [
            {
                "name": image.name,
                "seconds": round(image.seconds, 3),
                "labels": {label: _numbers(scores, mm_per_pixel) for label, scores in image.scores.items()},
            }
            for image in evaluation.images
        ],
    }


def rows_of(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """A row a label, in the order of ``HEADINGS``, the label first."""
    return [(label, *_cells(scores)) for label, scores in evaluation.total.items()]


def _numbers(scores: LabelScores, mm_per_pixel: float | None) -> dict[str, float | int | None]:
    errors = scores.area_errors
    numbers: dict[str, float | int | None] = {
        "n_true": scores.n_true,
        "n_found": scores.n_found,
        "pq": _or_none(scores.pq),
        "sq": _or_none(scores.sq),
        "rq": _or_none(scores.f1()),
        "f1_50": _or_none(scores.f1(0.5)),
        "f1_75": _or_none(scores.f1(0.75)),
        "iou": _or_none(scores.iou),
        "boundary_f": _or_none(scores.boundary_f),
        "area_error": _or_none(_mean(np.abs(errors))),
        "area_bias": _or_none(_mean(errors)),
    }
    if mm_per_pixel is not None:
        off = [abs(match.found_area - match.true_area) * mm_per_pixel**2 / 1e6 for match in scores.matches]
        numbers["area_error_m2"] = _or_none(_mean(np.array(off)))
    return numbers


def _cells(scores: LabelScores) -> tuple[str, ...]:
    errors = scores.area_errors
    shares = (scores.pq, scores.sq, scores.f1(), scores.f1(0.75), scores.iou, scores.boundary_f)
    return (
        str(scores.n_true),
        str(scores.n_found),
        *("–" if math.isnan(value) else f"{value:.3f}" for value in shares),
        f"{_mean(np.abs(errors)):.1%}" if len(errors) else "–",
        f"{_mean(errors):+.1%}" if len(errors) else "–",
    )


def _page(
    evaluation: Evaluation,
    about: Mapping[str, str],
    mm_per_pixel: float | None,
    pictures: list[tuple[WorstCase, str]],
) -> str:
    of_images = [
        (
            image.name,
            f"{image.seconds:.2f}",
            *(_percent(image.scores[label].pq) for label in evaluation.labels),
        )
        for image in evaluation.images
    ]
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title>',
        f"<style>{_STYLE}</style><h1>Evaluation</h1>",
        _table(("", ""), about.items()),
        f"<p>{len(evaluation.images)} drawings; mean IoU of the labels {evaluation.mean_iou:.3f}.</p>",
        _table(("label", *HEADINGS), rows_of(evaluation), HEADINGS),
    ]
    if mm_per_pixel is not None:
        metres = [
            (label, _metres(_numbers(scores, mm_per_pixel)["area_error_m2"]))
            for label, scores in evaluation.total.items()
        ]
        parts.append(_table(("label", "mean area error in m2"), metres))
    parts += ["<h2>The worst</h2><p>The drawing with what is there, and with what was found.</p>"]
    parts += [
        f"<figure><figcaption>{html.escape(case.name)}: PQ {case.quality:.2f}</figcaption>"
        f'<img src="{name}" alt="Truth and result of {html.escape(case.name)}" loading="lazy"></figure>'
        for case, name in pictures
    ]
    parts += [
        '<h2>All drawings</h2><div class="scroll">',
        _table(("drawing", "s", *(f"PQ {label}" for label in evaluation.labels)), of_images),
        "</div>",
    ]
    return "\n".join([*parts, "</html>", ""])


def _table(
    headings: Iterable[str], rows: Iterable[Iterable[str]], titles: Mapping[str, str] | None = None
) -> str:
    titles = titles or {}
    head = "".join(
        f'<th title="{html.escape(titles.get(heading, ""))}">{html.escape(heading)}</th>'
        for heading in headings
    )
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


def _side_by_side(case: WorstCase) -> Image.Image:
    image = Image.fromarray(case.sample.image)
    truth, found = draw_segments(image, truth_as_result(case)), draw_segments(image, case.result)
    sheet = Image.new("RGB", (truth.width + found.width + 8, max(truth.height, found.height)), "white")
    sheet.paste(truth, (0, 0))
    sheet.paste(found, (truth.width + 8, 0))
    return sheet


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _metres(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
