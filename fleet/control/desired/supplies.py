"""What a desired state is made from, and what must be had before it can be made. Frozen values, no I/O.

`needs()` names references; supply (the room above) turns them into digests and bytes; compile reads the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet.control.desired.localfiles import FileDigests, Hashing
from fleet.control.desired.sealed import NoMemo, SecretMemo
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.contracts.model import ModelManifest
from fleet.vocabulary.secret import Secret


@dataclass(frozen=True, kw_only=True)
class EnvNeed:
    """The packages of a lock, built for nodes of one kind.

    `os_version` is the node's (`26.4`), None where it does not matter (`this-machine`) or is not known yet.
    """

    name: str
    lock_path: Path
    lock_sha256: str
    python_version: str
    platform: str
    os_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelNeed:
    """The manifest of a model; its weights are found by the manifest's source."""

    manifest_path: Path


@dataclass(frozen=True, kw_only=True)
class ArchiveNeed:
    """A pinned folder: an archive at `url` or `path`, `sha256` being the file's; or an npm tree.

    Of an npm tree `path` is the folder of its lock, `sha256` that of package.json and lock together (empty when one is
    not there), and `platform` whom it is for. `strip` leading folders of an archive are left out.
    """

    name: str
    sha256: str
    url: str | None = None
    path: Path | None = None
    strip: int = 0
    npm: bool = False
    platform: str | None = None


@dataclass(frozen=True, kw_only=True)
class InterpreterNeed:
    """The Python of a node: a `standalone` build to push, or the `path` of one that is there (nothing to push)."""

    kind: str
    python_version: str
    platform: str
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class AppNeed:
    """fleet's own part for nodes."""


@dataclass(frozen=True, kw_only=True)
class SecretNeed:
    """A secret by its reference, one of the forms of `secretrefs`."""

    reference: str


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Everything to be had before states can be compiled, each thing once."""

    envs: tuple[EnvNeed, ...] = ()
    models: tuple[ModelNeed, ...] = ()
    archives: tuple[ArchiveNeed, ...] = ()
    interpreters: tuple[InterpreterNeed, ...] = ()
    secrets: tuple[SecretNeed, ...] = ()
    app: AppNeed = field(default_factory=AppNeed)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A folder packed reproducibly: `digest` (64 hex digits) names the folder on the node, `archive` is the tar."""

    digest: str
    archive: Blob


@dataclass(frozen=True, kw_only=True)
class Supplies:
    """The answers to Needs. An interpreter that is a path on the node has no pack."""

    app: Packed
    envs: Mapping[EnvNeed, Packed] = field(default_factory=dict)
    models: Mapping[ModelNeed, ModelManifest] = field(default_factory=dict)
    archives: Mapping[ArchiveNeed, Packed] = field(default_factory=dict)
    interpreters: Mapping[InterpreterNeed, Packed | None] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    """By reference. Learning one may take a while, so it is looked up only when its value is needed."""
    memo: SecretMemo = field(default_factory=NoMemo)
    digests: FileDigests = field(default_factory=Hashing, compare=False)
