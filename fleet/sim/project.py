"""The fleet project of a simulation: inventory, secrets, keys, manifests. It is written once; adopt edits it later."""

from __future__ import annotations

import getpass
import grp
import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import yaml

from fleet.sim.api import OPENROUTER
from fleet.sim.hardware import GIB, Hardware
from fleet.sim.lightproject import light_inventory, write_light_playbook
from fleet.sim.plan import NodePlan, SimPlan
from fleet.sim.tree import NodeTree, base_interpreter, make_tree
from fleet.vocabulary.units import MIB

USER_KEY = "keys/id_ed25519"
COMMANDS = (
    "launchctl", "plutil", "sysctl", "pmset", "sudo", "visudo", "vm_stat", "notifyutil", "sw_vers", "fdesetup",
    "xcode-select", "lsof", "shasum", "openssl", "log", "ioreg", "systemsetup", "dscl", "df", "date", "netstat",
    "defaults", "socketfilterfw", "shutdown",
)  # fmt: skip

API_MODELS: dict[str, dict[str, Any]] = {
    "echo-small": {
        "asked": "sim/echo-small",
        "context": 131_072,
        "price": {"prompt_per_million": 0.1, "completion_per_million": 0.4},
    },
    "echo-large": {
        "asked": "sim/echo-large",
        "context": 1_000_000,
        "price": {"prompt_per_million": 5.0, "completion_per_million": 25.0},
    },
}
"""What the simulated OpenRouter serves, under the names of our routes."""

_HEAD = """\
# yaml-language-server: $schema=../.fleet/inventory.schema.json
# Simulated Macs on this machine, made by `fleet sim up`. Each node is a folder below nodes/, with an SSH server, a
# launchd and the macOS commands that fleet calls. `fleet adopt --all` pins their keys here, as it does for real ones.
# The upstream openrouter is simulated, too: it answers on this machine, and nothing leaves it and nothing is billed.
"""


def write_project(folder: Path, plan: SimPlan) -> None:
    """Make what is not there yet. What the user or adopt changed stays."""
    for name in ("inventory", "secrets", "models", "keys", "playbooks", "locks"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "secrets").chmod(0o700)
    (folder / "keys").chmod(0o700)
    if plan.light:
        write_light_playbook(folder)
    else:
        for name in ("gateway", "fleet", OPENROUTER):
            _secret(folder / "secrets" / f"{name}.key")
    public = _user_key(folder / USER_KEY)
    for node in plan.nodes:
        tree = make_tree(folder / "nodes" / node.name, marker=plan.id)
        if not tree.authorized_keys.exists():
            tree.authorized_keys.write_text(public)
            tree.authorized_keys.chmod(0o600)
    inventory = folder / "inventory" / "fleet.yml"
    if not inventory.exists():
        inventory.write_text(inventory_text(folder, plan))
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("# A simulation is made anew, never committed.\n*\n")


def inventory_text(folder: Path, plan: SimPlan) -> str:
    """The inventory: the first node is the front, the others serve models; a single node is both.

    Light nodes are all alike.
    """
    if plan.light:
        hosts = {node.name: _host(folder, node) for node in plan.nodes}
        return light_inventory(plan, shared=_shared(folder), hosts=hosts)
    model = plan.models[0] if plan.models else "scripted"
    shared = {
        **_shared(folder),
        "gateway_bind": "127.0.0.1",
        "gateway_key": "file:secrets/gateway.key",
        "fleet_key": "file:secrets/fleet.key",
        "model": model,
        "sidecar_environment": {"MLX_DISABLE_COMPILE": "1"},
    }
    routes: dict[str, Any] = {}
    if plan.openrouter_port:
        routes["upstreams"] = {
            OPENROUTER: {
                "url": f"http://127.0.0.1:{plan.openrouter_port}/api",
                "key": f"file:secrets/{OPENROUTER}.key",
                "models": API_MODELS,
            }
        }
        first = next(iter(API_MODELS))
        routes |= {"routes": {"token-track": [model, first], "api": [first]}, "default_route": model}
    fronts = {node.name: _host(folder, node) for node in plan.nodes[:1]}
    serving = {node.name: _host(folder, node) for node in plan.nodes[1:]}
    children = {
        "front": {"hosts": fronts, **({"vars": routes} if routes else {})},
        "mlx": {
            "hosts": serving or {plan.nodes[0].name: {}},
            "vars": {"wired_limit_mb": Hardware().memory_bytes * 3 // 4 // MIB},
        },
    }
    data = {"all": {"vars": shared, "children": children}}
    return _HEAD + yaml.safe_dump(data, sort_keys=False, width=200)


def _shared(folder: Path) -> dict[str, Any]:
    """What every node of this machine has in common."""
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    return {
        "ansible_host": "127.0.0.1",
        "ansible_user": user,
        "ansible_ssh_private_key_file": str(folder / USER_KEY),
        "owner": user,
        "group": group,
        "admin": user,
        "admin_group": group,
        "interpreter": base_interpreter(),
        "python_version": _python_version(base_interpreter()),
        "platform": "this-machine",
        "memory_gb": Hardware().memory_bytes // GIB,
    }


def _host(folder: Path, node: NodePlan) -> dict[str, Any]:
    tree = NodeTree(folder / "nodes" / node.name)
    return {
        "ansible_port": node.ssh_port,
        "gateway_port": node.gateway_port,
        "gateway_admin_port": node.admin_port,
        "agent_port": node.agent_port,
        "sidecar_port": node.sidecar_port,
        "root": str(tree.root),
        "home": str(tree.home),
        "tmp_dir": str(tree.tmp),
        "daemons_dir": str(tree.daemons),
        "sudoers_dir": str(tree.sudoers),
        "readings": f"file:{tree.readings}",
        "commands": {name: str(tree.bin / name) for name in COMMANDS},
    }


def _python_version(interpreter: str) -> str:
    answer = subprocess.run(
        [interpreter, "-I", "-S", "-c", "import json, sys; print(json.dumps(sys.version_info[:2]))"],
        capture_output=True,
        check=True,
        text=True,
    )
    major, minor = json.loads(answer.stdout)
    return f"{major}.{minor}"


def _secret(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"sk-sim-{secrets.token_hex(24)}\n")


def _user_key(path: Path) -> str:
    """The public line of the simulation's user key, which is made when it is not there."""
    if not path.exists():
        key = asyncssh.generate_private_key("ssh-ed25519", comment="fleet sim")
        path.touch(mode=0o600)
        key.write_private_key(str(path))
        key.write_public_key(f"{path}.pub")
    return Path(f"{path}.pub").read_text()
