"""Bundles, read: everything that a deploy would fetch or build, in one file. With one, nothing is fetched.

A bundle is an uncompressed tar: `bundle.json` (bundleindex.py), then `blobs/HEX` in the order of the index. Nothing of
it is copied: blobs are sent to nodes from where they lie in it.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.control.desired.supplies import ArchiveNeed, EnvNeed, InterpreterNeed, Needs, Packed, Supplies
from fleet.control.supply.bundleindex import BundledEnv, BundleIndex, machine_words
from fleet.control.supply.cache import Cache
from fleet.control.supply.filepart import FilePart
from fleet.control.supply.models import read_manifest
from fleet.control.supply.nodepart import app_archive, sync_zipapp
from fleet.errors import SupplyError
from fleet.vocabulary.contracts.codec import digest_of
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.units import bytes_text

INDEX = "bundle.json"
BLOBS = "blobs/"
_INDEX_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = 1 << 20
_AGAIN = "fleet bundle -o FILE, where there is a network, makes a new one"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was found whole. Frozen: who changes the file afterwards is found out by the nodes."""

    path: Path
    index: BundleIndex
    parts: Mapping[str, FilePart]
    """By digest (`sha256:HEX`)."""

    def supplies(self, needs: Needs, *, cache: Cache) -> Supplies:
        """Every need but the secrets, which are in no bundle. Raises SupplyError, ConfigError."""
        return Supplies(
            app=self._own(cache),
            envs={need: self._env(need) for need in needs.envs},
            archives={need: self._archive(need) for need in needs.archives},
            models={need: read_manifest(need.manifest_path) for need in needs.models},
            interpreters={need: self._python(need) for need in needs.interpreters},
        )

    def _own(self, cache: Cache) -> Packed:
        """Fleet's own part: it is packed from the running fleet, which must be the one that made the bundle."""
        app = app_archive(cache)
        if app.archive.digest != self.index.app or f"sha256:{sync_zipapp()[0]}" != self.index.sync:
            raise SupplyError(
                f"{self.path.name} was made by another fleet ({self.index.fleet_version})",
                hint=f"deploy it with the fleet that made it, or make it again: {_AGAIN}",
            )
        return app

    def _env(self, need: EnvNeed) -> Packed:
        """The env for exactly that macOS, else the one for the newest macOS before it, which runs there, too."""
        alike = [one for one in self.index.envs if _alike(one, need)]
        fitting = [one for one in alike if _number(one.os_version) <= _number(need.os_version)]
        if not fitting:
            have = ", ".join(f"{one.name} for {_target(one.platform, one.os_version)}" for one in self.index.envs)
            raise SupplyError(
                f"{self.path.name} does not hold env {need.name} for {_target(need.platform, need.os_version)}",
                detail=f"it holds: {have or 'no env'}" + (_other_lock(need) if self._named(need) else ""),
                hint=_AGAIN,
            )
        return self._packed(max(fitting, key=lambda one: _number(one.os_version)).digest)

    def _named(self, need: EnvNeed) -> bool:
        return any(one.name == need.name and one.lock_sha256 != need.lock_sha256 for one in self.index.envs)

    def _python(self, need: InterpreterNeed) -> Packed | None:
        if need.kind != "standalone":
            return None
        for one in self.index.pythons:
            same = (one.python_version, one.platform) == (need.python_version, need.platform)
            if same and one.machine == machine_words(need.platform):
                return self._packed(one.digest)
        raise SupplyError(
            f"{self.path.name} does not hold Python {need.python_version} for {_target(need.platform, None)}",
            hint=_AGAIN,
        )

    def _archive(self, need: ArchiveNeed) -> Packed:
        machine = machine_words(need.platform) if need.platform else ()
        wanted = (need.sha256, need.strip, need.npm, need.platform, machine)
        for one in self.index.archives:
            if (one.sha256, one.strip, one.npm, one.platform, one.machine) == wanted:
                return self._packed(one.digest)
        raise SupplyError(f"{self.path.name} does not hold archive {need.name} as it is pinned now", hint=_AGAIN)

    def _packed(self, digest: str) -> Packed:
        blob = Blob(digest=digest, size=self.parts[digest].size)
        return Packed(digest=blob.hex, archive=blob)


def open_bundle(path: Path, *, cache: Cache, notify: Callable[[str], None] = lambda _: None) -> Bundle:
    """The bundle in a file, every hash checked. Raises SupplyError for one that is cut, changed or none at all.

    The cache remembers a file that was checked, by size and times.
    """
    try:
        status = path.stat()
        with tarfile.open(path, "r:") as tar:
            index = _index(path, tar)
            parts = _parts(path, tar, index, size_bytes=status.st_size)
    except (OSError, tarfile.TarError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SupplyError(f"{path} cannot be read as a bundle", detail=why, hint=_AGAIN) from None
    seal = digest_of([str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino])
    if cache.recall("bundle", seal) is None:
        notify(f"checking {path.name} ({bytes_text(status.st_size)})")
        for digest, part in parts.items():
            if _hashed(part) != digest:
                raise SupplyError(f"{path} is damaged", detail=f"{digest} has another content", hint=_AGAIN)
        cache.remember("bundle", seal, {"bundle": str(path.resolve())})
    return Bundle(path=path, index=index, parts=parts)


def _index(path: Path, tar: tarfile.TarFile) -> BundleIndex:
    first = tar.next()
    source = tar.extractfile(first) if first is not None and first.name == INDEX and first.isreg() else None
    if first is None or source is None or first.size > _INDEX_BYTES:
        raise SupplyError(f"{path} is not a bundle of fleet", detail=f"it does not begin with {INDEX}", hint=_AGAIN)
    try:
        index = msgspec.json.decode(source.read(), type=BundleIndex)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise SupplyError(f"{path} is not a bundle that this fleet knows", detail=str(error), hint=_AGAIN) from None
    if index.schema != 1 or not index.named <= {blob.digest for blob in index.blobs}:
        raise SupplyError(f"{path} is not a bundle that this fleet knows", detail=f"schema {index.schema}", hint=_AGAIN)
    return index


def _parts(path: Path, tar: tarfile.TarFile, index: BundleIndex, *, size_bytes: int) -> dict[str, FilePart]:
    """Where every blob of the index lies. Members that it does not name are nobody's."""
    found: dict[str, FilePart] = {}
    expected = {blob.digest: blob.size for blob in index.blobs}
    while (member := tar.next()) is not None:
        digest = f"sha256:{member.name.removeprefix(BLOBS)}"
        whole = member.offset_data + member.size <= size_bytes
        if member.isreg() and member.size == expected.get(digest) and whole:
            found[digest] = FilePart(path=path, offset=member.offset_data, size=member.size)
    lacking = [digest for digest in expected if digest not in found]
    if lacking:
        raise SupplyError(
            f"{path} is cut short",
            detail=f"{len(lacking)} of its {len(expected)} parts are not there, {lacking[0]} first",
            hint="copy it again, and compare the sizes",
        )
    return found


def read_part(part: FilePart) -> Iterable[bytes]:
    """Its bytes, in blocks."""
    with part.path.open("rb") as file:
        file.seek(part.offset)
        left = part.size
        while left and (block := file.read(min(left, _BLOCK_BYTES))):
            yield block
            left -= len(block)


def _hashed(part: FilePart) -> str:
    digest = hashlib.sha256()
    for block in read_part(part):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _alike(one: BundledEnv, need: EnvNeed) -> bool:
    same = (one.name, one.lock_sha256, one.python_version, one.platform)
    wanted = (need.name, need.lock_sha256, need.python_version, need.platform)
    return same == wanted and one.machine == machine_words(need.platform)


def _number(os_version: str | None) -> tuple[int, ...]:
    """Versions in their order; one that is not known is before all others."""
    return tuple(int(word) for word in (os_version or "").split(".") if word.isdigit())


def _target(platform: str, os_version: str | None) -> str:
    return f"macOS {os_version or '(not known yet)'}" if platform == "macos-arm64" else platform


def _other_lock(need: EnvNeed) -> str:
    return f"\nlocks/{need.lock_path.name} is not the one that the bundle was made with"
