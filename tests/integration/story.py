"""What stories over simulated Macs are told with: waiting, breaking and mending, and how a node stands."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.integration.conftest import Room

T = TypeVar("T")

NOWHERE = "/nowhere/bin/program"
_WORDS = "{% for word in daemon.argv %}"


def until(find: Callable[[], T], *, within_seconds: float = 60.0) -> T:
    """What `find` gives, once that is true."""
    deadline = time.monotonic() + within_seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited {within_seconds:g} s in vain"
        time.sleep(0.2)
    return found


LEAN = """\
- name: every node
  hosts: all
  tasks:
    - {name: never sleep, pmset: {sleep: 0}}
    - {name: fleet's own packages, python_env: {name: node, lock: node.lock}}
    - {name: agent, daemon: {service: agent, env: node}}
  health:
    - launchd: {daemon: agent, stable_for: 500ms}
    - http: {daemon: agent, path: /healthz}
- name: workers
  hosts: mlx
  strategy: {canary: 1, max_unavailable: 1}
  tasks:
    - {name: its settings, file: {dest: etc/worker.conf, content: "speed = 1\\n"}}
    - {name: its hints, file: {dest: etc/worker.hints, content: "be kind\\n"}}
    - name: worker
      daemon:
        label: worker
        program: [/bin/sh, -c, "trap : HUP; while :; do sleep 0.2; done"]
        restart_on: [etc/worker.conf]
        reload_on: [etc/worker.hints]
- name: front
  hosts: front
  tasks: [{name: front, daemon: {service: gateway, role: front, env: node}}]
  health:
    - launchd: {daemon: gateway, stable_for: 500ms}
    - http: {daemon: gateway, path: /healthz}
"""
"""A playbook without models: an agent everywhere, a worker of one's own on nodes of group mlx, a front."""


def lean(room: Room) -> Path:
    """Give the room the playbook that needs no models, nor the wired limit of those; where it is."""
    room.without("wired_limit_mb")
    path = room.folder / "playbooks" / "site.yml"
    path.write_text(LEAN)
    return path


def break_program(room: Room, service: str) -> Path:
    """Give the project a plist template of the service whose program is nowhere. Without the file all is well."""
    path = room.own("templates/launchd", f"{service}.plist.j2")
    text = path.read_text()
    assert _WORDS in text
    path.write_text(text.replace(_WORDS, f"    <string>{NOWHERE}</string>\n{{% for word in daemon.argv[1:] %}}"))
    return path


def trust(room: Room, node: str = "mac-1") -> ssl.SSLContext:
    """Trust in the node's own certificate and in no other, name and all."""
    return ssl.create_default_context(cafile=room.root(node) / "etc" / "edge.crt")


def front_url(room: Room) -> str:
    """Where the room's front listens."""
    return f"https://127.0.0.1:{room.variables('mac-1')['gateway_port']}"


def gateway_key(room: Room) -> str:
    """The key that clients of the front show."""
    return (room.folder / "secrets" / "gateway.key").read_text().strip()


def asked(room: Room, path: str, *, key: str | None = None) -> int:
    """With which status the front answers a GET with the room's key, or another."""
    shown = {"Authorization": f"Bearer {key or gateway_key(room)}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{front_url(room)}{path}", headers=shown), context=trust(room), timeout=10
        ) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@dataclass(frozen=True)
class Standing:
    """How a node stands: what a revert must bring back. Apart from adopt's own: apply job, edge key."""

    current: str | None
    pids: Mapping[str, object]
    plists: Mapping[str, bytes]
    etc: Mapping[str, bytes]


def standing(room: Room, node: str) -> Standing:
    """How it stands now."""
    current = room.root(node) / "releases" / "current"
    plists = (room.node(node) / "Library" / "LaunchDaemons").glob("*.plist")
    etc = (room.root(node) / "etc").glob("*")
    return Standing(
        current=str(current.readlink()) if current.is_symlink() else None,
        pids={label: pid for (name, label), pid in room.pids().items() if name == node},
        plists={path.name: path.read_bytes() for path in plists if not path.name.endswith(".apply.plist")},
        etc={path.name: path.read_bytes() for path in etc if path.stem != "edge"},
    )
