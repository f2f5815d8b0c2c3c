"""Simulated Macs behind OpenSSH's own sshd, with an interpreter that notes each of its starts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.control.link.hostkeys import fingerprint
from fleet.sim.doors.listener import make_host_key
from fleet.sim.doors.openssh import OpenSshDoor, find_sshd
from fleet.sim.ports import free_ports
from fleet.sim.processes import end_marked
from fleet.sim.tree import NodeTree, make_tree
from tests.integration.conftest import Room, environment, interpreter
from tests.integration.wire import Wire

needs_sshd = pytest.mark.skipif(find_sshd() is None or shutil.which("ssh") is None, reason="no OpenSSH here")

_NOTING_PYTHON = """\
#!/bin/sh
printf '%s\\n' "$*" >>"${{0%/*}}/python.log"
exec '{python}' "$@"
"""


@dataclass(frozen=True)
class SshdLog:
    """What an sshd said since some moment (LogLevel VERBOSE)."""

    text: str

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.text))

    @property
    def connections(self) -> int:
        return self.count(r"(?m)^Connection from ")

    @property
    def sessions(self) -> int:
        return self.count(r"Starting session: ")

    @property
    def authentications(self) -> int:
        """Anything of a client that began to say who it is: accepted, refused, or broken off."""
        return self.count(r"Accepted \w+ for|Failed |Postponed |authenticating user|invalid user|Invalid user")


@dataclass(frozen=True)
class SshdRoom(Room):
    """A simulated fleet whose inventory leads to real sshds."""

    doors: Mapping[str, OpenSshDoor] = field(default_factory=dict)

    def playbook(self, *tasks: Mapping[str, Any], health: tuple[Mapping[str, Any], ...] = ()) -> None:
        """Write playbooks/test.yml: these tasks for all nodes, both at once."""
        play = {"name": "test", "hosts": "all", "strategy": {"max_unavailable": 64}, "tasks": list(tasks)}
        text = yaml.safe_dump([{**play, **({"health": list(health)} if health else {})}], sort_keys=False)
        (self.folder / "playbooks" / "test.yml").write_text(text)

    def deploy(self, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """`fleet deploy` of that playbook."""
        return self.fleet("deploy", "test", "--yes", *words, expect=expect)

    @contextmanager
    def deploying(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A `fleet deploy` under way; it is killed at the end when it still runs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet", "deploy", "test", "--yes", *words],
            cwd=self.folder,
            env={**environment(), **self.extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def set_host(self, name: str, **values: object) -> None:
        """Set variables of one node in the inventory; None takes one away."""
        path = self.folder / "inventory" / "fleet.yml"
        data = yaml.safe_load(path.read_text())
        for group in data["all"]["children"].values():
            if name in group["hosts"]:
                merged = {**group["hosts"][name], **values}
                group["hosts"][name] = {key: value for key, value in merged.items() if value is not None}
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    @contextmanager
    def wire(self, name: str) -> Iterator[Wire]:
        """A relay that the laptop reaches this node through."""
        wire = Wire(self.doors[name].port)
        self.set_host(name, ansible_port=wire.port)
        try:
            yield wire
        finally:
            self.set_host(name, ansible_port=self.doors[name].port)
            wire.close()

    @contextmanager
    def log_of(self, name: str) -> Iterator[list[SshdLog]]:
        """What the node's sshd says in the block; the list holds it at the block's end."""
        log, found = self.doors[name].log, list[SshdLog]()
        before = log.stat().st_size
        yield found
        with log.open() as file:
            file.seek(before)
            found.append(SshdLog(file.read()))

    def fingerprint(self, name: str) -> str:
        """Of the key that the node has now, `SHA256:...`."""
        return fingerprint(Path(f"{self.doors[name].tree.host_key}.pub").read_text())

    def change_host_key(self, name: str) -> None:
        """The same address, another machine."""
        self.doors[name].stop()
        make_host_key(self.doors[name].tree)
        self.doors[name].start()

    def python_starts(self, name: str) -> list[str]:
        """The arguments of every start of the node's interpreter: sync, apply and daemons alike."""
        log = self.node(name) / "usr" / "python.log"
        return log.read_text().splitlines() if log.exists() else []

    def live(self, name: str) -> dict[str, object]:
        """What serves on a node: its jobs with their pids, and every file apart from blobs and records of runs."""
        folders = [self.root(name) / part for part in ("site", "etc", "releases")]
        paths = [path for folder in (*folders, self.node(name) / "Library") for path in folder.rglob("*")]
        files = {str(path): path.read_bytes() for path in paths if path.is_file()}
        services = {label: found for label, found in self.services(name).items() if not label.endswith(".apply")}
        return {**files, **services}

    def current(self, name: str) -> str | None:
        """The state id of the live release."""
        link = self.root(name) / "releases" / "current"
        return link.readlink().name.removesuffix(".json") if link.is_symlink() else None

    def last_run(self, name: str) -> list[dict[str, Any]]:
        """The journal of the newest run on a node."""
        runs = sorted((self.root(name) / "runs").iterdir())
        lines = (runs[-1] / "journal.jsonl").read_text().splitlines() if runs else []
        return [json.loads(line) for line in lines]

    def wait_idle(self, name: str) -> None:
        """Until the node's apply job has nothing to do any more."""
        until(lambda: not (self.root(name) / "state" / "pending").exists())


@dataclass(frozen=True)
class SlowStep:
    """A task that begins and waits until it is let go; then it ends with `status`."""

    folder: Path
    status: int = 0

    @property
    def task(self) -> dict[str, Any]:
        script = f'touch "$0/begun"; until [ -e "$0/go" ]; do sleep 0.02; done; touch "$0/over"; exit {self.status}'
        argv = ["/bin/sh", "-c", script, str(self.folder)]
        return {"name": "slow step", "command": {"argv": argv, "creates": str(self.folder / "over")}}

    def wait_begun(self) -> None:
        until((self.folder / "begun").exists)

    def let_go(self) -> None:
        (self.folder / "go").touch()


def until(true: Callable[[], bool], *, within_seconds: float = 60.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + within_seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


@contextmanager
def sshd_room(
    folder: Path, *, nodes: int = 2, models: tuple[str, ...] = (), adopted: bool = True
) -> Iterator[SshdRoom]:
    """A simulation whose nodes are reached through sshd only, with a noting interpreter each."""
    folder.mkdir(exist_ok=True)
    ports = free_ports()
    names = [f"mac-{number}" for number in range(1, nodes + 1)]
    doors = {name: OpenSshDoor(NodeTree(folder / "nodes" / name), next(ports)) for name in names}
    room = SshdRoom(folder, doors=doors)
    named = [word for model in models for word in ("--models", model)] or ["--no-models"]
    room.sim("up", "--nodes", str(nodes), *named, "--throttle-scale", "0.1")
    try:
        for name, door in room.doors.items():
            python = room.node(name) / "usr" / "python3"
            python.parent.mkdir()
            python.write_text(_NOTING_PYTHON.format(python=interpreter()))
            python.chmod(0o755)
            door.start()
            room.set_host(name, ansible_port=door.port, interpreter=str(python))
        if adopted:
            room.fleet("adopt", "--all", "--yes")
        yield room
    finally:
        for door in room.doors.values():
            door.stop()
        room.sim("down")


@contextmanager
def jump_room(folder: Path) -> Iterator[SshdRoom]:
    """Two Macs whose names only the user's ssh_config knows, behind a bastion that is no node. Adopted through it."""
    home, marker = folder / "laptop", f"bastion-{folder.name}"
    tree = make_tree(folder / "bastion", marker=marker)
    bastion = OpenSshDoor(tree, next(free_ports()))
    with sshd_room(folder, adopted=False) as inner:
        room = replace(inner, extra={"HOME": str(home)}, doors={**inner.doors, "bastion": bastion})
        tree.authorized_keys.write_text((folder / "keys" / "id_ed25519.pub").read_text())
        bastion.start()
        try:
            (home / ".ssh").mkdir(parents=True, mode=0o700)
            (home / ".ssh" / "config").write_text(_ssh_config(inner, bastion))
            public = Path(f"{tree.host_key}.pub").read_text()
            (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{bastion.port} {public}")
            for name in inner.doors:
                room.set_host(name, ansible_host=f"{name}.rack.example", ansible_port=None)
            room.fleet("adopt", "--all", "--yes")
            yield room
        finally:
            bastion.stop()
            end_marked(marker)


def _ssh_config(room: SshdRoom, bastion: OpenSshDoor) -> str:
    nodes = "".join(
        f"Host {name}.rack.example\n  HostName 127.0.0.1\n  Port {door.port}\n  ProxyJump bastion\n"
        for name, door in room.doors.items()
    )
    key = room.folder / "keys" / "id_ed25519"
    return f"{nodes}Host bastion\n  HostName 127.0.0.1\n  Port {bastion.port}\n  IdentityFile {key}\n"
