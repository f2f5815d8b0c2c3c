"""Bundles, written: the supplies of a project as one file, reproducibly."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

import fleet
from fleet.control.desired.supplies import Needs, Packed, Supplies
from fleet.control.inventory.project import Project
from fleet.control.supply.bundle import BLOBS, INDEX
from fleet.control.supply.bundleindex import (
    BundledArchive,
    BundledBlob,
    BundledEnv,
    BundledModel,
    BundledPython,
    BundleIndex,
    machine_words,
)
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import model_file
from fleet.control.supply.nodepart import sync_zipapp
from fleet.errors import SupplyError


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What goes in: the index, and where the bytes of each of its blobs are."""

    index: BundleIndex
    sources: Mapping[str, Path]


def ingredients(
    needs: Needs,
    supplies: Supplies,
    *,
    project: Project,
    cache: Cache,
    weights: bool,
    notify: Callable[[str], None] = lambda _: None,
) -> Ingredients:
    """Everything that a deploy of these needs sends, secrets and what is rendered apart. Raises SupplyError."""
    sync = cache.add(sync_zipapp()[1])
    sources = {sync.digest: cache.blob_path(sync.digest)}
    sizes = {sync.digest: sync.size}

    def keep(packed: Packed) -> str:
        blob = packed.archive
        sources[blob.digest], sizes[blob.digest] = cache.blob_path(blob.digest), blob.size
        return blob.digest

    envs = [
        BundledEnv(
            name=need.name,
            lock_sha256=need.lock_sha256,
            python_version=need.python_version,
            platform=need.platform,
            os_version=need.os_version,
            machine=machine_words(need.platform),
            digest=keep(supplies.envs[need]),
        )
        for need in needs.envs
    ]
    pythons = [
        BundledPython(
            python_version=need.python_version,
            platform=need.platform,
            machine=machine_words(need.platform),
            digest=keep(packed),
        )
        for need in needs.interpreters
        if (packed := supplies.interpreters[need]) is not None
    ]
    archives = [
        BundledArchive(
            name=need.name,
            sha256=need.sha256,
            strip=need.strip,
            npm=need.npm,
            platform=need.platform,
            machine=machine_words(need.platform) if need.platform else (),
            digest=keep(supplies.archives[need]),
        )
        for need in needs.archives
    ]
    app = keep(supplies.app)
    manifests = {manifest.digest: manifest for manifest in supplies.models.values()}
    for manifest in manifests.values() if weights else ():
        for file in manifest.files:
            digest = f"sha256:{file.sha256}"
            sources[digest] = model_file(manifest, file, cache=cache, project=project, notify=notify)
            sizes[digest] = file.size_bytes
    index = BundleIndex(
        fleet_version=fleet.__version__,
        app=app,
        sync=sync.digest,
        blobs=tuple(BundledBlob(digest=digest, size=sizes[digest]) for digest in sorted(sources)),
        envs=tuple(sorted(envs, key=lambda one: (one.name, one.os_version or "", one.digest))),
        pythons=tuple(sorted(pythons, key=lambda one: (one.python_version, one.platform, one.digest))),
        archives=tuple(sorted(archives, key=lambda one: (one.name, one.sha256))),
        models=tuple(
            BundledModel(name=one.name, digest=one.digest, weights=weights)
            for one in sorted(manifests.values(), key=lambda one: (one.name, one.digest))
        ),
    )
    return Ingredients(index=index, sources=sources)


def write_bundle(what: Ingredients, path: Path) -> int:
    """Write the bundle; it has its name when it is whole. Its size in bytes. Raises SupplyError."""
    text = msgspec.json.format(msgspec.json.encode(what.index), indent=1) + b"\n"
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            aside = Path(file.name)
            try:
                with tarfile.open(fileobj=cast("BinaryIO", file), mode="w", format=tarfile.PAX_FORMAT) as tar:
                    tar.addfile(_member(INDEX, len(text)), io.BytesIO(text))
                    for blob in what.index.blobs:
                        with what.sources[blob.digest].open("rb") as source:
                            hashed = _Hashed(source, blob.digest)
                            tar.addfile(_member(BLOBS + blob.digest.removeprefix("sha256:"), blob.size), hashed)
                        hashed.require()
                file.flush()
                os.fsync(file.fileno())
                aside.chmod(0o644)
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)
        return path.stat().st_size
    except OSError as error:
        raise SupplyError(
            f"{path} cannot be written", detail=error.strerror or str(error), hint="look for space, and for the folder"
        ) from None


class _Hashed(io.RawIOBase):
    """A source that is hashed as it is read: what changed since it was locked gets into no bundle."""

    def __init__(self, source: BinaryIO, digest: str) -> None:
        self._source = source
        self._digest = digest
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def require(self) -> None:
        """Raise SupplyError unless what was read is what it should be."""
        if f"sha256:{self._hash.hexdigest()}" != self._digest:
            raise SupplyError(
                f"{self._source.name} is not what its manifest says",
                hint="fleet model lock writes a new manifest of changed weights",
            )


def _member(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    return entry  # mtime, uid and gid are 0, the names of owner and group empty
