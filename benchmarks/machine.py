"""What the benchmarks say about this machine, and what they read from it. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe_machine(*packages: str) -> str:
    """Processor, cores, system, Python, and the versions of packages, in one line."""
    versions = [f"{name} {package_version(name)}" for name in packages]
    cores = f"{os.cpu_count()} x {processor_name()}"
    return ", ".join([cores, platform.system(), f"Python {platform.python_version()}", *versions])


def describe_load() -> str:
    """How busy this machine is: what else runs on it spoils measurements."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "an unknown number of"
    return f"{load} processes at work in the last minute"


def processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


def plain_environment() -> dict[str, str]:
    """This machine's environment without its own settings for S3 and for this library."""
    ours = ("AWS_", "S3_", "KKG_", "MODEL_CACHE_DIR")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(ours)}
    return kept | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "ap-northeast-1"}


def peak_resident_bytes() -> int:
    """The largest resident size of this process so far, or since `forget_peak`."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent process held when it started this one
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    """Begin a new peak at the present size. Only Linux can; elsewhere peaks are those since the start."""
    clear_refs = Path("/proc/self/clear_refs")
    if clear_refs.exists():
        clear_refs.write_text("5")
