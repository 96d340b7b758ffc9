"""A cold start: while a model is on its way from S3, torch is imported and the device is looked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kkg_area_detection.segmentation.device import resolve_device

if TYPE_CHECKING:
    import torch

    from kkg_area_detection.progress import ByteProgress


class Startup:
    """Passes the progress of a download on, and uses its time.

    The seconds of CPU time that importing torch takes cost nothing while bytes arrive. Where nothing is
    downloaded, nothing is started, and ``device`` does it all. A device that turns out not to be usable ends
    the download.

    Args:
        device: What the caller asked for; see ``device.resolve_device``.
        progress: Told of every byte.
    """

    def __init__(self, device: str | torch.device | None, progress: ByteProgress) -> None:
        self._asked = device
        self._progress = progress
        self._found: torch.device | None = None
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self, description: str, total_bytes: int) -> None:
        """The download begins."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._prepare, name="kkg-startup", daemon=True)
            self._thread.start()
        self._progress.start(description, total_bytes)

    def advance(self, n_bytes: int) -> None:
        """Some bytes more.

        Raises:
            DeviceError: The device is not usable here.
        """
        if self._failure is not None:
            raise self._failure
        self._progress.advance(n_bytes)

    def device(self) -> torch.device:
        """The device to use.

        Raises:
            DeviceError: It is not usable here.
        """
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._found or resolve_device(self._asked)

    def _prepare(self) -> None:
        try:
            self._found = resolve_device(self._asked)
            import kkg_area_detection.segmentation.segmenter  # noqa: F401 - the rest of what loading needs
        except Exception as error:  # noqa: BLE001 - it is raised again in the calling thread
            self._failure = error
