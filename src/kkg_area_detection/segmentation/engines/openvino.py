"""The OpenVINO engine: the network of the native engine as OpenVINO runs it on a CPU.

OpenVINO compiles a network for one input size, in a second or two, and then needs less time for each picture,
most of all in bfloat16 on processors that compute in it. So it is meant for many pictures of few sizes. Compiled
networks are kept on disk (``openvino_cache``). Where OpenVINO fails, the native engine goes on, and a warning says
why.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kkg_area_detection.errors import MissingDependencyError, UsageError
from kkg_area_detection.model_directory import CONFIG_NAME
from kkg_area_detection.segmentation.engines import MaskOutputs
from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.network.checkpoint import load_network
from kkg_area_detection.segmentation.network.config import NetworkConfig
from kkg_area_detection.segmentation.network.layers import set_precision
from kkg_area_detection.segmentation.network_config import read_classes, read_network_config
from kkg_area_detection.segmentation.openvino_cache import MOST_FILES, CompiledFiles

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.mask2former import Mask2Former

logger = logging.getLogger(__name__)

_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}
_CPU = torch.device("cpu")
_FAILURES = (
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)  # of building and of running a graph


class OpenVinoEngine:
    """Mask2Former in float32 or bfloat16, run by OpenVINO."""

    def __init__(
        self,
        network: Mask2Former,
        config: NetworkConfig,
        id2label: dict[int, str],
        dtype: torch.dtype,
        files: CompiledFiles | None,
    ) -> None:
        self._network = network
        self._config = config
        self._id2label = id2label
        self._core = _runtime().core
        self._dtype = self._usable(dtype)
        self._files = files
        self._requests: dict[tuple[int, int], Any] = {}  # None: native from now on
        self._native: NativeEngine | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        directory: Path,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        cache_directory: Path | None = None,
    ) -> OpenVinoEngine:
        """Load a model directory that has passed the load gate. Nothing is compiled before the first picture.

        Args:
            directory: Holds ``config.json`` and safetensors of any dtype.
            device: Must be a CPU.
            dtype: float32 or bfloat16; bfloat16 where the processor computes in it, else float32.
            cache_directory: Where compiled networks are kept; None: nowhere.

        Returns:
            The engine, ready to run.

        Raises:
            MissingDependencyError: OpenVINO is not installed, or does not load.
            UsageError: The device or the dtype is another.
            UnknownNetworkError: The model is none of those that ``network`` builds, or is damaged.
            InvalidModelError: ``config.json`` is unreadable.
        """
        if device.type != "cpu":
            raise UsageError(
                f"The OpenVINO engine does not run on {device}.",
                next_step='use device="cpu" with it, or engine="native".',
            )
        _runtime()
        if dtype not in _HINTS:
            raise UsageError(
                f"The OpenVINO engine does not run in {str(dtype).removeprefix('torch.')}.",
                next_step="use float32 or bfloat16 with it.",
            )
        files = None
        if cache_directory is not None:
            files = CompiledFiles(cache_directory, directory, _versions())
        fields = read_network_config(directory)
        n_classes, id2label = read_classes(directory / CONFIG_NAME, fields)
        config = NetworkConfig.from_fields(fields, n_classes)
        return cls(load_network(directory, config), config, id2label, dtype, files)

    @property
    def id2label(self) -> dict[int, str]:
        """Class index to label, from ``config.json``."""
        return self._id2label

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return _CPU

    def forward(self, pixel_values: torch.Tensor) -> MaskOutputs:
        """Run the network.

        The first picture of a size takes seconds longer.

        Args:
            pixel_values: Shape (B, 3, h, w), float32, on any device.

        Returns:
            The logits in float32, on the CPU.
        """
        pixels = pixel_values.to(_CPU, torch.float32).contiguous()
        with self._lock:
            outputs = [self._run(picture) for picture in torch.split(pixels, 1)]
        return MaskOutputs(*(torch.cat(parts) for parts in zip(*outputs, strict=True)))

    def _run(self, picture: torch.Tensor) -> MaskOutputs:
        """Run the network on (1, 3, h, w)."""
        size = (picture.shape[2], picture.shape[3])
        try:
            request = self._request(size)
            if request is not None:
                outputs = request.infer([picture.numpy()], share_inputs=True)
                return MaskOutputs(*(torch.from_numpy(outputs[index]) for index in range(2)))
        except _FAILURES as error:
            reason = " ".join(str(error).split())
            logger.warning(
                "The native engine runs pictures of %d x %d pixels: OpenVINO failed: %s", *size, reason
            )
            self._requests[size] = None
        return self._native_engine().forward(picture)

    def _request(self, size: tuple[int, int]) -> Any:
        """What runs the network for pictures of a size; None where the native engine does."""
        if size not in self._requests:
            if sum(request is not None for request in self._requests.values()) >= MOST_FILES:
                logger.info(
                    "The native engine runs pictures of %d x %d pixels: OpenVINO runs %d other sizes already.",
                    *size,
                    MOST_FILES,
                )
                self._requests[size] = None
            else:
                self._requests[size] = self._compiled(*size).create_infer_request()
        return self._requests[size]

    def _compiled(self, height: int, width: int) -> Any:
        variant = {"size": [height, width], "precision": _HINTS[self._dtype], "processor": self._processor()}
        compiled = self._stored(variant)
        if compiled is not None:
            return compiled
        from kkg_area_detection.segmentation.openvino_network.mask2former import build_graph

        logger.info("OpenVINO compiles the network for pictures of %d x %d pixels ...", height, width)
        start = time.perf_counter()
        graph = build_graph(
            self._config,
            self._network.state_dict(),
            height,
            width,
            lower_precision=self._dtype != torch.float32,
        )
        compiled = self._core.compile_model(graph, "CPU", self._options())
        if self._files is not None:
            self._files.store(variant, lambda: compiled.export_model().getbuffer())
        logger.info("... which took %.1f s.", time.perf_counter() - start)
        return compiled

    def _stored(self, variant: dict[str, Any]) -> Any:
        """What an earlier process compiled, or None."""
        if self._files is None:
            return None
        openvino = _runtime().openvino
        tensors = []

        def allocate(size: int) -> memoryview:
            tensors.append(openvino.Tensor(openvino.Type.u8, openvino.Shape([size])))
            return memoryview(tensors[0].data)

        if not self._files.read(variant, allocate):
            return None
        try:
            return self._core.import_model(tensors[0], "CPU", self._options())
        except _FAILURES as error:
            self._files.discard(variant, f"OpenVINO does not take it: {error}")
            return None

    def _options(self) -> dict[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": _HINTS[self._dtype],  # left alone, it would take bfloat16 by itself
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # two processes would share a core while others are idle
        }

    def _capabilities(self) -> list[str]:
        return list(self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))

    def _processor(self) -> str:
        """What a compiled network may depend on."""
        name = self._core.get_property("CPU", "FULL_DEVICE_NAME")
        return " ".join([name, torch.backends.cpu.get_cpu_capability(), *sorted(self._capabilities())])

    def _usable(self, dtype: torch.dtype) -> torch.dtype:
        if dtype == torch.bfloat16 and "BF16" not in self._capabilities():
            logger.warning("This processor does not compute in bfloat16; OpenVINO runs in float32.")
            return torch.float32
        return dtype

    def _native_engine(self) -> NativeEngine:
        """The native engine with the same weights, for what OpenVINO does not do."""
        if self._native is None:
            network = self._network
            if self._dtype != torch.float32:
                network = copy.deepcopy(network)
                set_precision(network, self._dtype)
            self._native = NativeEngine(network, self._id2label, _CPU, lambda: self._network)
        return self._native


def _versions() -> dict[str, str]:
    """Of everything that takes part in making a compiled network, this package's own code included."""
    code = hashlib.sha256()
    here = Path(__file__).parents[1]
    for package in ("network", "openvino_network"):
        for path in sorted((here / package).glob("*.py")):
            code.update(path.read_bytes())
    return {"openvino": _runtime().openvino.__version__, "torch": torch.__version__, "code": code.hexdigest()}


def _runtime() -> Any:
    """OpenVINO and its core.

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    try:
        return importlib.import_module("kkg_area_detection.segmentation.openvino_network.runtime")
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"OpenVINO cannot be imported: {error}",
            cause="it is not installed: it is an extra of this package.",
            next_step='pip install "kkg-area-detection[openvino]", or use engine="native".',
        ) from error
