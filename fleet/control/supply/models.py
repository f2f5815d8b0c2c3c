"""Models by content: manifests from a folder or from the hub, and the files themselves when a node lacks them.

A manifest's source is `hf:org/name@COMMIT` or `file:FOLDER`. A folder is read where the locker remembers it, else at
FOLDER (absolute, or relative to the project's `models/`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import msgspec

from fleet.control.inventory.project import Project
from fleet.control.supply import hub
from fleet.control.supply.cache import Cache, hash_file
from fleet.control.supply.modelsize import ModelShape, shape_of
from fleet.control.supply.pieces import hash_with_pieces, remember
from fleet.errors import ConfigError, SupplyError, UsageError
from fleet.vocabulary.contracts.model import ModelFile, ModelManifest
from fleet.vocabulary.contracts.peers import PIECE_BYTES
from fleet.vocabulary.units import bytes_text

_WANTED = (
    *("*.safetensors", "*.json", "*.jsonl", "*.jinja", "*.txt", "*.py"),
    *("*.model", "*.tiktoken", "*.vocab"),
)
"""What mlx_lm loads; pictures, readmes and other formats of the weights stay behind."""

Notify = Callable[[str], None]


@dataclass(frozen=True)
class LockedModel:
    """A manifest, and what its config.json did not tell."""

    manifest: ModelManifest
    shape: ModelShape


def wanted(path: str) -> bool:
    """Whether a server needs that file of a model's folder."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") for part in parts)
    return not hidden and any(fnmatch(parts[-1], pattern) for pattern in _WANTED)


def lock_folder(
    path: Path, *, name: str | None = None, cache: Cache | None = None, notify: Notify = lambda _: None
) -> LockedModel:
    """The manifest of a model in a folder. With a cache, this laptop remembers where it lies. Raises SupplyError."""
    folder = path.expanduser().resolve()
    if not folder.is_dir():
        raise SupplyError(f"{path} is not a folder", hint="file:DIR names a folder with config.json and *.safetensors")
    names = sorted(
        found.relative_to(folder).as_posix()
        for found in folder.rglob("*")
        if found.is_file() and wanted(found.relative_to(folder).as_posix())
    )
    notify(f"hashing {len(names)} files of {folder.name}")
    with ThreadPoolExecutor(4) as pool:
        hashed = list(pool.map(lambda one: _hashed(folder / one, cache), names))
    files = tuple(
        ModelFile(path=one, sha256=digest, size_bytes=size) for one, (digest, size) in zip(names, hashed, strict=True)
    )
    config = folder / "config.json"
    found = _manifest(
        name or folder.name, f"file:{folder.name}", files, config.read_bytes() if config.is_file() else b""
    )
    if cache is not None:
        cache.remember("model-folder", found.manifest.digest, {"folder": str(folder)})
    return found


def lock_hub(reference: str, *, name: str | None = None, cache: Cache, notify: Notify = lambda _: None) -> LockedModel:
    """The manifest of `org/name@rev` on the hub, its commit pinned. Small files are fetched to be hashed."""
    match = re.fullmatch(r"([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)@([A-Za-z0-9_./-]+)", reference)
    if not match:
        raise UsageError(
            f"hf:{reference} does not name a model and a revision", hint="hf:org/name@main, or @ a tag or a commit"
        )
    listing = hub.list_files(match[1], match[2])
    source = f"hf:{match[1]}@{listing.commit}"
    config = b""
    files: list[ModelFile] = []
    for file in listing.files:
        if not wanted(file.path):
            continue
        digest = file.sha256
        if digest is None or file.path == "config.json":
            notify(f"fetching {file.path}")
            blob = hub.fetch(
                match[1], listing.commit, file.path, sha256=digest, size_bytes=file.size_bytes, cache=cache
            )
            digest = blob.hex
            if file.path == "config.json":
                config = cache.blob_path(blob.digest).read_bytes()
        files.append(ModelFile(path=file.path, sha256=digest, size_bytes=file.size_bytes))
    return _manifest(name or match[1].split("/")[1], source, tuple(files), config)


def model_file(
    manifest: ModelManifest,
    file: ModelFile,
    *,
    cache: Cache,
    project: Project | None = None,
    fetch: bool = True,
    notify: Notify = lambda _: None,
) -> Path:
    """Where the bytes of one file are on this laptop; fetched (resumed, verified) from the hub when they are not.

    Raises SupplyError; without `fetch` also for what only the hub has.
    """
    if cache.has(file.sha256) and cache.blob_path(file.sha256).stat().st_size == file.size_bytes:
        return cache.blob_path(file.sha256)
    kind, _, place = manifest.source.partition(":")
    if kind == "hf" and not fetch:
        raise SupplyError(
            f"the weights of {manifest.name} are neither in the bundle nor on this machine: {file.path}",
            detail=f"source: {manifest.source}",
            hint="fleet bundle --weights puts them in",
        )
    if kind == "hf":
        repo, _, commit = place.partition("@")
        notify(f"fetching {manifest.name}/{file.path} ({bytes_text(file.size_bytes)})")
        blob = hub.fetch(repo, commit, file.path, sha256=file.sha256, size_bytes=file.size_bytes, cache=cache)
        return cache.blob_path(blob.digest)
    for folder in _folders(manifest, place, cache, project):
        path = folder / file.path
        if path.is_file() and path.stat().st_size == file.size_bytes:
            return path
    raise SupplyError(
        f"the weights of {manifest.name} are not on this machine: {file.path}",
        detail=f"source: {manifest.source}",
        hint=f"fleet model lock file:DIR --name {manifest.name}, with the folder that holds them, says where they are",
    )


def read_manifest(path: Path) -> ModelManifest:
    """The manifest in a file. Raises ConfigError."""
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=ModelManifest)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", place=str(path)) from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"not a model manifest: {error}", place=str(path), hint="fleet model lock SOURCE writes one"
        ) from None
    for file in manifest.files:
        if ".." in PurePosixPath(file.path).parts or file.path.startswith("/"):
            raise ConfigError(f"a file outside of the model: {file.path!r}", place=str(path))
    return manifest


def manifest_text(manifest: ModelManifest) -> str:
    """The manifest as it is written: for people and for git."""
    return json.dumps(msgspec.to_builtins(manifest), indent=2, ensure_ascii=False) + "\n"


def _folders(manifest: ModelManifest, place: str, cache: Cache, project: Project | None) -> Iterable[Path]:
    remembered = (cache.recall("model-folder", manifest.digest) or {}).get("folder")
    if isinstance(remembered, str):
        yield Path(remembered)
    if Path(place).is_absolute():
        yield Path(place)
    elif project is not None:
        yield project.root / "models" / place
        yield project.root / place


def _hashed(path: Path, cache: Cache | None) -> tuple[str, int]:
    """64 hex digits and the size; what nodes may give to one another is hashed by pieces at once, and remembered."""
    if cache is None or path.stat().st_size < PIECE_BYTES:
        return hash_file(path)
    digest, size, pieces = hash_with_pieces(path)
    remember(cache, digest, pieces)
    return digest, size


def _manifest(name: str, source: str, files: tuple[ModelFile, ...], config: bytes) -> LockedModel:
    weights = sum(file.size_bytes for file in files if file.path.endswith(".safetensors"))
    if not weights:
        raise SupplyError(f"{source}: no *.safetensors in it", hint="fleet serves models in MLX's format")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./-]*", name):
        raise UsageError(f"{name!r} cannot be a model's name", hint="--name takes letters, digits and . _ - /")
    try:
        shape = shape_of(json.loads(config)) if config else ModelShape(reason="there is no config.json")
    except ValueError:
        shape = ModelShape(reason="config.json is not JSON")
    manifest = ModelManifest(
        name=name,
        source=source,
        files=tuple(sorted(files, key=lambda file: file.path)),
        weights_bytes=weights,
        kv_bytes_per_token=shape.kv_bytes_per_token,
        context_tokens=shape.context_tokens,
        architecture=shape.architecture,
    )
    return LockedModel(manifest, shape)
