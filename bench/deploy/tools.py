"""What is compared: the command of each tool for the first N nodes, with its best-known settings."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.deploy.rig import HERE, PORT, USER
from bench.deploy.workload import FILES, PYTHON, WORK, Workload
from bench.gateway import kit
from bench.machine import ROOT

LOCKS = {name: HERE / f"{name}.lock" for name in ("pyinfra", "ansible")}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A command with its environment and folder."""

    command: tuple[str, ...]
    cwd: Path
    environment: dict[str, str]


def fleet(work: Workload, addresses: Sequence[str], *, agent: str) -> Tool:
    """The real command, with an SSH agent that holds the chosen key."""
    names = [f"node-{number}" for number in range(1, len(addresses) + 1)]
    on = () if len(names) == len(work.rig.addresses) else ("--on", ",".join(names))
    environment = {"HOME": str(work.folder / "home"), "FLEET_CACHE": str(work.folder / "cache"), "SSH_AUTH_SOCK": agent}
    command = (sys.executable, "-m", "fleet", "deploy", "--yes", *on)
    return Tool(command=command, cwd=work.project, environment={**environment, "PYTHONPATH": str(ROOT)})


def ssh_true(work: Workload, addresses: Sequence[str]) -> Tool:
    """OpenSSH's own client, one process a node, all at once: the least that any tool over SSH can do."""
    config = str(work.rig.folder / "ssh_config")
    one = f"xargs -P {len(addresses)} -I@ ssh -F {config} -n @ true"
    return Tool(command=("sh", "-c", f"printf '%s\\n' {' '.join(addresses)} | {one}"), cwd=work.folder, environment={})


def pyinfra(work: Workload, addresses: Sequence[str]) -> Tool:
    """As many at once as there are nodes; its own key file, no agent, no other key tried."""
    folder = _peers(work)
    release = (work.folder / "release").read_text()
    hosts = [(each, {"node_addr": each, "node_id": each.rsplit(".", 1)[1]}) for each in addresses]
    shared = {
        "ssh_port": PORT,
        "ssh_user": USER,
        "ssh_key": str(work.rig.key),
        "ssh_known_hosts_file": str(work.rig.folder / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
        "release": release,
        "project": str(work.project),
    }
    (folder / "inventory.py").write_text(f"nodes = ({hosts!r}, {shared!r})\n")
    shutil.copy(HERE / "peers/pyinfra_deploy.txt", folder / "deploy.py")
    program = str(kit.BENCH / "pyinfra/bin/pyinfra")
    command = (program, "-y", "--parallel", str(len(addresses)), "inventory.py", "deploy.py")
    return Tool(command=command, cwd=folder, environment={"HOME": str(work.folder / "home")})


def ansible(work: Workload, addresses: Sequence[str]) -> Tool:
    """Pipelining, ControlPersist, a fork for every node, no facts gathered."""
    folder = _peers(work)
    (folder / "hosts").write_text(
        "".join(
            f"{each} node_addr={each} node_id={each.rsplit('.', 1)[1]} home={work.rig.home(each)}\n"
            for each in addresses
        )
    )
    for name in ("ansible.yml", "ansible.cfg"):
        shutil.copy(HERE / "peers" / name, folder)
    release = (work.folder / "release").read_text()
    values = f"ansible_port={PORT} ansible_python_interpreter={PYTHON} project={work.project} release={release}"
    (folder / "cp").mkdir(exist_ok=True)
    environment = {
        "HOME": str(work.folder / "home"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_FORKS": str(len(addresses)),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_SSH_ARGS": f"-F {work.rig.folder}/ssh_config -o ControlMaster=auto -o ControlPersist=60s",
    }
    program = str(kit.BENCH / "ansible/bin/ansible-playbook")
    return Tool(
        command=(program, "-i", "hosts", "-u", USER, "-e", values, "ansible.yml"), cwd=folder, environment=environment
    )


def prepare() -> None:
    """Make the peers' environments. Raises NotReady."""
    kit.BENCH.mkdir(exist_ok=True)
    for name, lock in LOCKS.items():
        kit.environment(name, lock)


def versions() -> dict[str, str]:
    """What is being compared."""
    client = kit.said(["sh", "-c", "ssh -V 2>&1"]).split(",")[0]
    return {
        "python": sys.version.split()[0],
        "OpenSSH": client.removeprefix("OpenSSH_"),
        "pyinfra": kit.package("pyinfra", "pyinfra"),
        "ansible-core": kit.package("ansible", "ansible-core"),
    }


def environment(tool: Tool) -> dict[str, str]:
    """The whole environment of a tool's process."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, **tool.environment}


def _peers(work: Workload) -> Path:
    """A folder for the peers; their templates are ours, with bare names."""
    folder = work.project / "peers"
    if not folder.is_dir():
        folder.mkdir()
        for name in FILES:
            (folder / f"{name}.j2").write_text((WORK / f"{name}.j2").read_text().replace("vars.", ""))
    return folder
