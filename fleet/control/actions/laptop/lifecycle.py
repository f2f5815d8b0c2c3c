"""`fleet laptop up|down|status`: bring the tier of this machine up, take it down, and say how it is."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

import msgspec

from fleet.control.actions.laptop import readings
from fleet.control.actions.laptop.guard import ON_BATTERY, GuardTerms, Standing, step
from fleet.control.actions.laptop.keeper import LOCK, PLAN, STATUS, LaptopStatus, is_ready
from fleet.control.actions.laptop.plan import LaptopPlan, gateway_config, keyring
from fleet.control.desired.supplies import EnvNeed
from fleet.control.inventory.project import Project
from fleet.control.supply.cache import Cache
from fleet.control.supply.envs import build_env
from fleet.control.supply.models import model_file, read_manifest
from fleet.errors import FleetError, SupplyError, UsageError
from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.contracts.model import ModelManifest

FOLDER = "laptop"
CLIENT_KEY = "client.key"
_LOCK_OF_PACKAGES = "node.lock"
_UP_SECONDS = 300.0
_DOWN_SECONDS = 45.0
_STEP_SECONDS = 0.2
_TAIL_LINES = 12
_HINTS = MappingProxyType({ON_BATTERY: "--on-battery lets a battery be used"})
Notify = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the person asked for. `model`: a folder with weights, or the name of a locked model."""

    model: str
    gateway_port: int = 8790
    battery_stops: bool = True
    unguarded: bool = False
    context_tokens: int | None = None


def folder_of(project: Project) -> Path:
    """Where the tier keeps its files."""
    return project.state_dir / FOLDER


def up(wanted: Wanted, *, project: Project, cache: Cache, notify: Notify) -> LaptopPlan:
    """Bring the tier up and wait until its model answers. The same again changes nothing.

    Raises UsageError, SupplyError, FleetError. On a failure nothing is left running.
    """
    folder = folder_of(project)
    if is_up(folder):
        plan = _plan(folder)
        if plan is None or not _same(plan, wanted, project, cache):
            raise UsageError("it is up with something else", hint="fleet laptop down; then up again")
        notify(f"it is up already: {plan.url}")
        return plan
    _require_well(wanted)
    _end_left_over(folder)
    weights, manifest = _weights(wanted.model, project, cache)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    plan = _planned(wanted, folder, weights, manifest, _packages(project, cache, folder, notify))
    _write_files(plan)
    plan.file(STATUS).unlink(missing_ok=True)  # what it says is of the last time
    with (folder / "keeper.err").open("wb") as out:
        keeper = subprocess.Popen(
            (sys.executable, "-s", "-m", "fleet.control.actions.laptop.keeper", str(folder)),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_until_it_answers(plan, keeper, notify)
    except BaseException:
        keeper.terminate()
        keeper.wait(_DOWN_SECONDS)
        raise
    return plan


def _require_well(wanted: Wanted) -> None:
    now = readings.read(readings.say)
    if now.blind and not wanted.unguarded:
        raise UsageError(
            "nothing here tells of battery, heat or memory, so nothing would stop the model in time",
            hint="on a Mac pmset, notifyutil and sysctl do; --unguarded runs it all the same",
        )
    found = step(Standing(), now, 0.0, GuardTerms(battery_stops=wanted.battery_stops))
    if not found.runs:
        raise _not_now(found.reason)


def _not_now(reason: str) -> FleetError:
    return FleetError(
        f"its guard does not let it run: {reason}", hint=_HINTS.get(reason, "try again when that is over")
    )


def down(project: Project, *, notify: Notify) -> bool:
    """Take the tier down; whether it was up. What a killed keeper left behind ends too. Raises FleetError."""
    folder = folder_of(project)
    was_up = is_up(folder)
    ends = time.monotonic() + _DOWN_SECONDS
    while is_up(folder):
        _signal(_keeper_pid(folder))
        if time.monotonic() > ends:
            raise FleetError(
                "its keeper does not end", hint=f"kill {_keeper_pid(folder)}, then fleet laptop down again"
            )
        time.sleep(_STEP_SECONDS)
    left = _end_left_over(folder)
    if left:
        notify(f"ended what a killed keeper had left: {left} process{'es' if left > 1 else ''}")
    return was_up or bool(left)


def status(project: Project) -> tuple[LaptopPlan | None, LaptopStatus | None]:
    """How the tier is. No plan: it never was up. No status: its keeper is gone."""
    folder = folder_of(project)
    plan = _plan(folder)
    if plan is None or not is_up(folder):
        return plan, None
    try:
        return plan, msgspec.json.decode((folder / STATUS).read_bytes(), type=LaptopStatus)
    except (OSError, msgspec.DecodeError):
        return plan, LaptopStatus(state="starting", since_seconds=time.time())


def is_up(folder: Path) -> bool:
    """Whether a keeper holds its lock."""
    try:
        with (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _plan(folder: Path) -> LaptopPlan | None:
    try:
        return msgspec.json.decode((folder / PLAN).read_bytes(), type=LaptopPlan)
    except (OSError, msgspec.DecodeError):
        return None


def _same(plan: LaptopPlan, wanted: Wanted, project: Project, cache: Cache) -> bool:
    weights, _ = _weights(wanted.model, project, cache)
    return (plan.model_path, plan.gateway_port, plan.battery_stops) == (
        str(weights), wanted.gateway_port, wanted.battery_stops
    )  # fmt: skip


def _weights(model: str, project: Project, cache: Cache) -> tuple[Path, ModelManifest | None]:
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


def _packages(project: Project, cache: Cache, folder: Path, notify: Notify) -> str:
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


def _planned(wanted: Wanted, folder: Path, weights: Path, manifest: ModelManifest | None, packages: str) -> LaptopPlan:
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


def _write_files(plan: LaptopPlan) -> None:
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


def _wait_until_it_answers(plan: LaptopPlan, keeper: subprocess.Popen[bytes], notify: Notify) -> None:
    notify(f"{plan.serves} is being loaded")
    ends = time.monotonic() + _UP_SECONDS
    while not is_ready(plan):
        if keeper.poll() is not None:
            raise FleetError("its keeper ended", detail=_tail(plan.file("keeper.err")), hint="fleet laptop up again")
        if (stopped := _stopped(plan)) is not None:
            raise _not_now(stopped)
        if time.monotonic() > ends:
            detail = _tail(plan.file("sidecar.log"))
            raise FleetError(f"{plan.serves} did not answer within {_UP_SECONDS:.0f} s", detail=detail)
        time.sleep(_STEP_SECONDS)


def _stopped(plan: LaptopPlan) -> str | None:
    try:
        found = msgspec.json.decode(plan.file(STATUS).read_bytes(), type=LaptopStatus)
    except (OSError, msgspec.DecodeError):
        return None
    return found.reason if found.state == "stopped" else None


def _tail(file: Path) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
    except OSError:
        return ""


def _keeper_pid(folder: Path) -> int | None:
    text = (folder / LOCK).read_text(errors="replace").strip() if (folder / LOCK).is_file() else ""
    return int(text) if text.isdecimal() else None


def _signal(pid: int | None) -> None:
    if pid is not None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return


def _end_left_over(folder: Path) -> int:
    """End the children of a keeper that was killed: they are still of its process group. How many."""
    plan, group = _plan(folder), _keeper_pid(folder)
    if plan is None or group is None or is_up(folder):
        return 0
    listing = readings.say(("ps", "-axww", "-o", "pid=,pgid=,command="))
    ours = (str(folder), f"--port {plan.sidecar_port}")
    found = []
    for line in listing.splitlines():
        pid, _, rest = line.strip().partition(" ")
        owner, _, command = rest.strip().partition(" ")
        if pid.isdecimal() and owner == str(group) and any(word in command for word in ours):
            found.append(int(pid))
    for number in found:
        _signal(number)
    return len(found)
