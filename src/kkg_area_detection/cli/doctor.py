"""``kkg doctor``: what stands between you and a loaded model."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from kkg_area_detection.checkup import Finding

# ASCII, because consoles in Japanese Windows (cp932) have no check mark.
_MARKS = {"ok": "+", "warning": "!", "failure": "x", "skipped": "-"}
_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red", "skipped": "dim"}
_INDENT = 11


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    iam_policy: Annotated[
        bool, typer.Option("--iam-policy", help="Print the IAM policy that readers of the models need.")
    ] = False,
) -> None:
    """Check settings, credentials, S3, cache and GPU; say what to do first."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a path that the console cannot show must not end the report
    if iam_policy:
        _print_policy()
        return
    from rich.console import Console

    console = Console(highlight=False)
    findings = []
    with _running(Console(stderr=True) if as_json else console) as on_start:
        for finding in _findings(on_start):
            findings.append(finding)
            if not as_json:
                _print_finding(console, finding)
    failed = any(one.status == "failure" for one in findings)
    if as_json:
        typer.echo(_as_json(findings))
    else:
        console.print(f"\n{_conclusion(findings)}", style="bold", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _findings(on_start: Callable[[str], None]) -> Iterator[Finding]:
    from kkg_area_detection.checkup import examine
    from kkg_area_detection.hub.doctor import BUDGET_S, hub_checks
    from kkg_area_detection.segmentation.doctor import segmentation_checks

    checks, conceal = hub_checks()
    yield from examine(
        [*checks, *segmentation_checks()], budget_s=BUDGET_S, on_start=on_start, conceal=conceal
    )


@contextmanager
def _running(console: Console) -> Iterator[Callable[[str], None]]:
    """Show on a terminal which check runs."""
    with console.status("", spinner="line") as status:
        yield lambda name: status.update(f"Checking {name} ...")


def _print_finding(console: Console, finding: Finding) -> None:
    """One line of mark, status, name and detail; wrapped on a terminal, and never in a pipe."""
    from rich.text import Text

    text = Text(f"{finding.name}: {finding.detail}")
    text.stylize("bold", 0, len(finding.name))
    if finding.next_step:
        text.append(f"\nNext step: {finding.next_step}", style="bold")
    width = max(console.width - _INDENT, 20) if console.is_terminal else sys.maxsize
    head = Text(f"{_MARKS[finding.status]} {finding.status}".ljust(_INDENT), style=_STYLES[finding.status])
    for line in text.split("\n"):
        for piece in line.wrap(console, width) or [line]:
            piece.rstrip()
            console.print(Text.assemble(head, piece), soft_wrap=True)
            head = Text(" " * _INDENT)


def _conclusion(findings: list[Finding]) -> str:
    from kkg_area_detection.checkup import first_step

    step = first_step(findings)
    if step is not None:
        return f"Do this first: {step}"
    warnings = sum(one.status == "warning" for one in findings)
    if warnings:
        return f"Nothing stands in the way; {warnings} warning{'s' if warnings > 1 else ''} above."
    return "All is well."


def _as_json(findings: list[Finding]) -> str:
    from kkg_area_detection.checkup import first_step

    report = {
        "ok": not any(one.status == "failure" for one in findings),
        "do_first": first_step(findings),
        "findings": [asdict(one) for one in findings],
    }
    return json.dumps(report, ensure_ascii=False, indent=2)


def _print_policy() -> None:
    from kkg_area_detection.hub.policy import iam_policy
    from kkg_area_detection.settings import MODEL_NAME_FIELD, Settings

    bucket, key = Settings.load().location(MODEL_NAME_FIELD)
    typer.echo(json.dumps(iam_policy(bucket, key), ensure_ascii=False, indent=2))
