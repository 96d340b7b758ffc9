"""A model in S3: what lies there now, as a plan, and whether it still does at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kkg_area_detection.errors import InvalidModelError, ObjectChangedError, ObjectNotFoundError
from kkg_area_detection.hub import manifest as manifests
from kkg_area_detection.hub.integrity import Checksum
from kkg_area_detection.hub.plan import (
    DownloadPlan,
    RemoteObject,
    folder_above,
    is_prefix,
    plan_object,
    plan_prefix,
    s3_uri,
)
from kkg_area_detection.hub.retry import with_attempts
from kkg_area_detection.hub.s3 import S3Store

LIST_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A prefix or object that should be a model."""

    store: S3Store
    bucket: str
    key: str

    def plan(self) -> tuple[DownloadPlan, Mapping[str, Checksum]]:
        """List what is needed to decide, and decide.

        Returns:
            The plan, and the SHA-256 that the model's manifest promises for each path; empty without a
            manifest.

        Raises:
            HubError: The listing failed, nothing is there, or a key is unsafe.
            ObjectChangedError: The model is being uploaded.
            InvalidModelError: What is there cannot become a model.
        """
        listing = self._list(self.key)
        if is_prefix(self.key):
            manifest = self._manifest_in(listing)
            plan = plan_prefix(self.bucket, self.key, listing)
            return (plan, {}) if manifest is None else self._narrow(plan, manifest)
        siblings: list[RemoteObject] = []
        if self.key.lower().endswith(".safetensors"):
            siblings = self._list(folder_above(self.key), recursive=False)
        return plan_object(self.bucket, self.key, listing, siblings), {}

    def check_unchanged(self, plan: DownloadPlan) -> None:
        """Make sure that what was fetched is what lies there: one state of the model, never a mix of two.

        Raises:
            ObjectChangedError: It is not.
        """
        try:
            now, _ = self.plan()
        except (InvalidModelError, ObjectNotFoundError):
            now = replace(plan, files=())
        if {file.source for file in now.files} != {file.source for file in plan.files}:
            raise ObjectChangedError(
                f"{plan.uri} was replaced while it was being downloaded.",
                cause="somebody is uploading a new version of the model.",
                next_step="wait until the upload has ended and try again.",
            )

    def _list(self, prefix: str, *, recursive: bool = True) -> list[RemoteObject]:
        return with_attempts(
            self.store,
            lambda: self.store.list_objects(self.bucket, prefix, recursive=recursive),
            limit=LIST_ATTEMPTS,
        )

    def _manifest_in(self, listing: Sequence[RemoteObject]) -> manifests.Manifest | None:
        item = next((item for item in listing if item.key == self.key + manifests.MANIFEST_NAME), None)
        if item is None:
            return None
        manifest = manifests.parse(self._read_manifest(item), s3_uri(self.bucket, item.key))
        if manifest.state != "complete":
            raise self._being_uploaded()
        return manifest

    def _narrow(
        self, plan: DownloadPlan, manifest: manifests.Manifest
    ) -> tuple[DownloadPlan, Mapping[str, Checksum]]:
        """Follow the manifest: its files, and all of them."""
        by_path = {str(file.path): file for file in plan.files}
        files = [by_path.get(entry.path) for entry in manifest.files]
        present = tuple(
            file
            for file, entry in zip(files, manifest.files, strict=True)
            if file is not None and file.source.size == entry.size
        )
        if len(present) < len(files):
            raise self._being_uploaded()
        promised = {one.path: Checksum("SHA256", bytes.fromhex(one.sha256)) for one in manifest.files}
        return replace(plan, files=present), promised

    def _being_uploaded(self) -> ObjectChangedError:
        uri = s3_uri(self.bucket, self.key)
        return ObjectChangedError(
            f"{uri} is being uploaded, or its upload was not finished (see {manifests.MANIFEST_NAME} there).",
            cause="somebody is publishing a new version of the model.",
            next_step="wait until the upload has ended and try again; if it was broken off, publish it again.",
        )

    def _read_manifest(self, item: RemoteObject) -> bytes:
        if item.size > manifests.MAX_MANIFEST_BYTES:
            uri = s3_uri(self.bucket, item.key)
            raise InvalidModelError(
                f"{uri} is too large to be a manifest.", next_step="publish the model again."
            )

        def read() -> bytes:
            content = bytearray(item.size)
            done = 0
            with self.store.read(self.bucket, item) as body:
                while done < item.size and (count := body.readinto(memoryview(content)[done:])):
                    done += count
            return bytes(content[:done])

        return with_attempts(self.store, read, limit=LIST_ATTEMPTS)
