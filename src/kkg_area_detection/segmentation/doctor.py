"""What ``kkg doctor`` asks of PyTorch, transformers and the GPU."""

from __future__ import annotations

import importlib.util
import shutil
from importlib import metadata

from kkg_area_detection.checkup import Check, Finding, failure, ok, warning
from kkg_area_detection.errors import DeviceError

_CUDA_BUILDS = "https://pytorch.org/get-started/locally"
_LEAST_TRANSFORMERS = 5


def segmentation_checks() -> list[Check]:
    """The checks, in their order. They have no time limit: importing torch takes what it takes."""
    return [
        Check("torch", check_torch, limit_s=None),
        Check("transformers", check_transformers, limit_s=None),
        Check("GPU", check_gpu, needs=("torch",), limit_s=None),
    ]


def check_torch() -> Finding:
    """Whether torch can be imported, its version, and what it was built for."""
    try:
        import torch
    except ImportError as error:
        return failure(f"PyTorch cannot be imported: {error}", f"pip install torch ({_CUDA_BUILDS})")
    except OSError as error:  # Windows: a DLL of torch does not load
        return failure(
            f"PyTorch cannot be loaded: {error}",
            "on Windows install the Microsoft Visual C++ Redistributable (x64); else reinstall torch.",
        )
    if torch.version.cuda:
        build = f"built for CUDA {torch.version.cuda}"
    elif torch.backends.mps.is_built():
        build = "built for Apple GPUs"
    else:
        build = "built for the CPU only"
    return ok(f"version {torch.__version__}, {build}")


def check_transformers() -> Finding:
    """Whether transformers is there and new enough; it is not imported, which would take seconds."""
    if importlib.util.find_spec("transformers") is None:
        return failure("transformers is not installed.", "pip install transformers")
    version = metadata.version("transformers")
    if int(version.partition(".")[0]) < _LEAST_TRANSFORMERS:
        return failure(f"version {version} is too old.", f'pip install "transformers>={_LEAST_TRANSFORMERS}"')
    return ok(f"version {version}")


def check_gpu() -> Finding:
    """Whether a GPU does arithmetic, and what it is; or why not."""
    import torch

    from kkg_area_detection.segmentation.device import resolve_device

    if torch.backends.mps.is_available():
        _compute("mps")
        return ok("Apple GPU (mps)")
    try:
        resolve_device("cuda")
    except DeviceError as error:
        if shutil.which("nvidia-smi") is None:  # no driver: most likely no NVIDIA GPU either
            return ok("none; models run on the CPU.")
        return warning(
            f"an NVIDIA driver is installed, but {error.what}\nLikely cause: {error.cause}", error.next_step
        )
    indices = range(torch.cuda.device_count())
    for index in indices:
        _compute(f"cuda:{index}")
    return ok("\n".join(_describe(index) for index in indices))


def _compute(device: str) -> None:
    """Do a sum on the device: a GPU that this build has no code for is listed, and fails here.

    Raises:
        DeviceError: It failed.
    """
    import torch

    try:
        torch.ones(8, device=device).sum().item()
    except RuntimeError as error:
        raise DeviceError(
            f"{device} is there, but does not compute: {str(error).splitlines()[0]}",
            cause="this PyTorch has no code for this GPU, or another program holds it.",
            next_step=f'install another build ({_CUDA_BUILDS}), or use device="cpu".',
        ) from error


def _describe(index: int) -> str:
    import torch

    free, total = torch.cuda.mem_get_info(index)
    name = torch.cuda.get_device_name(index)
    return f"cuda:{index} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
