"""What a laptop tier is made from: weights, packages, and the files that its keeper and gateway read."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from fleet.control.actions.laptop.keeper import PLAN
from fleet.control.actions.laptop.plan import LaptopPlan, gateway_config, keyring
from fleet.control.desired.supplies import EnvNeed
from fleet.control.inventory.project import Project
from fleet.control.supply.cache import Cache
from fleet.control.supply.envs import build_env
from fleet.control.supply.models import model_file, read_manifest
from fleet.errors import SupplyError
from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.contracts.model import ModelManifest

CLIENT_KEY = "client.key"
_LOCK_OF_PACKAGES = "node.lock"
Notify = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the person asked for. `model`: a folder with weights, or the name of a locked model."""

    model: str
    gateway_port: int = 8790
    battery_stops: bool = True
    unguarded: bool = False
    context_tokens: int | None = None


def weights_of(model: str, project: Project, cache: Cache) -> tuple[Path, ModelManifest | None]:
    """The folder that holds the weights, and the manifest of a locked model. Raises SupplyError."""
    locked = project.file("models", f"{model}.json")
    if locked is None:
        folder = Path(model).expanduser().resolve()
        if not (folder / "config.json").is_file():
            raise SupplyError(
                f"{model} is no locked model, and no folder with a model",
                hint="fleet model lock SOURCE writes models/NAME.json; or name the folder that holds config.json",
            )
        return folder, None
    manifest = read_manifest(locked)
    paths = [model_file(manifest, file, cache=cache, project=project) for file in manifest.files]
    folder = cache.root / "laptop" / manifest.digest
    for file, path in zip(manifest.files, paths, strict=True):
        link = folder / file.path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != path.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
    return folder, manifest


def packages_of(project: Project, cache: Cache, folder: Path, notify: Notify) -> str:
    """The folder with the packages of gateway and server, built for this machine as nodes' are. Raises SupplyError."""
    lock = project.file("locks", _LOCK_OF_PACKAGES)
    if lock is None:
        raise SupplyError(f"there is no locks/{_LOCK_OF_PACKAGES}", hint="fleet env lock writes it")
    need = EnvNeed(
        name="node",
        lock_path=lock,
        lock_sha256=sha256(lock.read_bytes()).hexdigest(),
        python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
        platform="this-machine",
    )
    packed = build_env(need, cache=cache, notify=notify)
    place = folder / "envs" / packed.digest.removeprefix("sha256:")
    if not place.is_dir():
        new = place.with_name(f"{place.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        with tarfile.open(cache.blob_path(packed.archive.digest)) as archive:
            archive.extractall(new, filter="data")
        new.rename(place)
    for old in place.parent.iterdir():
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
    return str(place)


def planned(wanted: Wanted, folder: Path, weights: Path, manifest: ModelManifest | None, packages: str) -> LaptopPlan:
    """The tier that is wanted."""
    source = Path(__file__).resolve().parents[4]
    return LaptopPlan(
        folder=str(folder),
        python=sys.executable,
        pythonpath=os.pathsep.join((packages, str(source))),
        model_path=str(weights),
        serves=manifest.name.rpartition("/")[2] if manifest else weights.name,
        gateway_port=wanted.gateway_port,
        admin_port=wanted.gateway_port + 1,
        sidecar_port=wanted.gateway_port + 2,
        battery_stops=wanted.battery_stops,
        context_tokens=wanted.context_tokens or (manifest.context_tokens if manifest else None),
    )


def write_files(plan: LaptopPlan) -> None:
    """What keeper and gateway read. A client's key stays what it was: programs have been told it."""
    client = plan.file(CLIENT_KEY)
    if not client.is_file():
        _secret(client, secrets.token_urlsafe(32))
    guard = secrets.token_urlsafe(32)
    _secret(plan.file("guard.key"), guard)
    ring = keyring(client=client.read_text().strip(), guard=guard)
    config: GatewayConfig = gateway_config(plan)
    for name, value in (("keys.json", ring), ("gateway.json", config), (PLAN, plan)):
        _secret(plan.file(name), msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _secret(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(f"{text}\n")
    new.replace(file)


def is_same(plan: LaptopPlan, wanted: Wanted, project: Project, cache: Cache) -> bool:
    """Whether a tier that is up is what somebody wants now. Raises SupplyError."""
    weights, manifest = weights_of(wanted.model, project, cache)
    again = planned(wanted, Path(plan.folder), weights, manifest, "")
    return msgspec.structs.replace(plan, pythonpath="", python="") == msgspec.structs.replace(
        again, pythonpath="", python=""
    )
