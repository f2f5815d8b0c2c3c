"""`fleet backup` and `fleet restore`: the ledgers of all fronts and the project's keys in one checksummed file."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fleet import __version__
from fleet.control.actions.gateways import AdminDoor, GatewayNode, Gateways, answered, problems
from fleet.control.inventory.clientkeys import FILE
from fleet.errors import FleetError, SupplyError, UsageError
from fleet.vocabulary.names import NodeName

SCHEMA = 1
_MANIFEST = "manifest.json"
_MOST_BYTES = 4 * 1024**3
_CHUNK_BYTES = 64 * 1024


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    sha256: str
    node: str = ""


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    made: str
    fleet: str
    parts: tuple[_Part, ...]
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a file holds: ledgers (gzipped files of SQLite) by front, and keys.json; b"" = there was none."""

    made: str
    ledgers: Mapping[NodeName, bytes]
    keys: bytes = b""


def fetch(gateways: Sequence[GatewayNode], doors: Gateways) -> tuple[dict[NodeName, bytes], dict[NodeName, FleetError]]:
    """The ledgers of all fronts, and the fronts that gave none. Raises UsageError when there is no front."""
    fronts = [gateway for gateway in gateways if gateway.is_front]
    if not fronts:
        raise UsageError("there is no front", hint="a task `daemon: {service: gateway, role: front}` makes one")
    answers = doors.each(fronts, AdminDoor.ledger_copy)
    return answered(answers), problems(answers)


def write(path: Path, ledgers: Mapping[NodeName, bytes], keys_file: Path, *, now: datetime | None = None) -> Backup:
    """The file, 0600, whole or not at all. Raises SupplyError."""
    keys = keys_file.read_bytes() if keys_file.is_file() else b""
    made = f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    contents = {f"ledgers/{node}.sqlite.gz": (packed, str(node)) for node, packed in ledgers.items()}
    if keys:
        contents[FILE] = (keys, "")
    parts = tuple(
        _Part(name=name, sha256=hashlib.sha256(content).hexdigest(), node=node)
        for name, (content, node) in contents.items()
    )
    manifest = msgspec.json.format(msgspec.json.encode(_Manifest(made=made, fleet=__version__, parts=parts)), indent=1)
    new = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
                _add(tar, _MANIFEST, manifest)
                for name, (content, _) in contents.items():
                    _add(tar, name, content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise SupplyError(f"cannot write {path}: {error.strerror or error}") from error
    return Backup(made=made, ledgers=ledgers, keys=keys)


def read(path: Path) -> Backup:
    """What the file holds, every checksum checked. Raises SupplyError, UsageError."""
    try:
        contents = _contents(path)
        manifest = msgspec.json.decode(contents[_MANIFEST], type=_Manifest)
    except FileNotFoundError:
        raise UsageError(f"there is no {path}") from None
    except (gzip.BadGzipFile, tarfile.TarError, EOFError, zlib.error, KeyError, ValueError, OverflowError) as error:
        raise SupplyError(f"{path} is no backup of fleet, or it is damaged", detail=str(error)) from error
    except OSError as error:
        raise SupplyError(f"cannot read {path}: {error.strerror or error}") from error
    if manifest.schema != SCHEMA:
        raise SupplyError(f"{path} is of schema {manifest.schema}: a newer fleet made it", hint="use that fleet")
    for part in manifest.parts:
        if hashlib.sha256(contents.get(part.name, b"")).hexdigest() != part.sha256:
            raise SupplyError(f"{path} is damaged: {part.name} is not what was put into it")
    ledgers = {NodeName(part.node): contents[part.name] for part in manifest.parts if part.node}
    keys = contents[FILE] if any(part.name == FILE for part in manifest.parts) else b""
    return Backup(made=manifest.made, ledgers=ledgers, keys=keys)


def choose(backup: Backup, asked: str | None) -> NodeName:
    """Whose ledger is restored. Raises UsageError."""
    known = ", ".join(sorted(backup.ledgers)) or "none"
    if asked is not None:
        if NodeName(asked) not in backup.ledgers:
            raise UsageError(f"the backup has no ledger of {asked}", hint=f"it has those of: {known}")
        return NodeName(asked)
    if len(backup.ledgers) != 1:
        raise UsageError(f"the backup has the ledgers of: {known}", hint="say which one: --from NODE")
    return next(iter(backup.ledgers))


def restore_keys(backup: Backup, keys_file: Path, *, force: bool) -> bool:
    """Put keys.json back; False = it is there as it was, or the backup has none. Raises UsageError, SupplyError."""
    try:
        there = keys_file.read_bytes() if keys_file.exists() else None
        if not backup.keys or there == backup.keys:
            return False
        if there is not None and not force:
            raise UsageError(
                f"{keys_file} is there, and another one than in the backup",
                hint="--force takes the backup's; --no-keys leaves it as it is",
            )
        new = keys_file.with_name(f"{keys_file.name}.new")
        new.write_bytes(backup.keys)
        new.replace(keys_file)
    except OSError as error:
        raise SupplyError(f"cannot write {keys_file}: {error.strerror or error}") from error
    return True


def _contents(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    with gzip.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            size += member.size
            if size > _MOST_BYTES:
                raise tarfile.TarError("it is too large")
            data = tar.extractfile(member) if member.isfile() else None
            if data is not None:
                found[member.name] = data.read()
        while file.read(_CHUNK_BYTES):  # to the end, where gzip's own checksum is
            pass
    return found


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o600
    tar.addfile(member, io.BytesIO(content))
