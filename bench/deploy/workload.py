"""The same work for every tool: three folders, four rendered files of 2 KB, one artifact of 5 MB, a command on change.

A node's home holds `svcctl`, which notes each of its calls. Of fleet's node there is what adopt leaves: the helper,
sync and the layout. `check` looks at every byte, mode and call afterwards.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.deploy.rig import HERE, PORT, USER, Rig, own
from fleet.control.actions.adopt_install import helper_text
from fleet.control.inventory import load_inventory
from fleet.control.inventory.project import Project
from fleet.control.supply.nodepart import sync_zipapp
from fleet.vocabulary.contracts.codec import canonical
from fleet.vocabulary.layout import FOLDERS

WORK = HERE / "work"
PYTHON = "/usr/bin/python3"
FILES = ("app.conf", "net.conf", "log.conf", "jobs.conf")
_ARTIFACT_BYTES = 5 << 20
_SVCCTL = '#!/bin/sh\n# stands for launchctl\necho "$@" >>"${0%/*}/svc.log"\n'
_SALT = "00112233445566778899aabbccddeeff"
_COMMANDS = ("launchctl", "shasum", "sysctl", "sw_vers", "fdesetup", "pmset", "plutil")


@dataclass(frozen=True)
class Workload:
    """The work on the nodes of one rig; its own files are below `folder`."""

    rig: Rig
    folder: Path

    @property
    def project(self) -> Path:
        """Fleet's."""
        return self.folder / "project"

    @property
    def artifact(self) -> Path:
        """5 MB that do not compress."""
        return self.project / "templates/artifact.bin"

    def prepare(self) -> None:
        """Write the project of fleet; the templates are the peers' too."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("inventory", "playbooks", "templates"):
            (self.project / name).mkdir(parents=True)
        self.artifact.write_bytes(random.Random(7).randbytes(_ARTIFACT_BYTES))
        for name in FILES:
            shutil.copy(WORK / f"{name}.j2", self.project / "templates")
        (self.project / "playbooks/site.yml").write_text((WORK / "site.yml").read_text())
        self.release("1")
        (self.folder / "home").mkdir()

    def release(self, release: str) -> None:
        """What is wanted from now on: one of the files differs between two releases."""
        inventory = _inventory(self.rig, release)
        (self.project / "inventory/fleet.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))
        (self.folder / "release").write_text(release)

    def empty(self, addresses: Sequence[str]) -> None:
        """Nodes as adopt leaves them."""
        project = Project(self.project, self.project / "inventory/fleet.yml")
        found = load_inventory(project).nodes
        digest, sync = sync_zipapp()
        started = self._started(digest, sync)
        for node in found.values():
            if node.address not in addresses:
                continue
            home = self.rig.home(node.address)
            shutil.rmtree(home, ignore_errors=True)
            root = home / "fleet"
            for folder in (*(root / each for each in FOLDERS), home / "bin", home / "daemons"):
                folder.mkdir(parents=True)
            for secret in ("files", "blobs"):
                (root / secret).chmod(0o700)
            for each in started:
                shutil.copy(each, root / "sync")
            (root / "sync/current.pyz").symlink_to(f"{digest}.pyz")
            (root / "state/layout.json").write_bytes(canonical(node.settings.layout()))
            for path, text in (
                (root / "sbin/fleet-node", helper_text(node, PYTHON)),
                (home / "svcctl", _SVCCTL),
            ):
                path.write_text(text)
                path.chmod(0o755)
            for command in _COMMANDS:
                (home / "bin" / command).symlink_to(_command(command))
            own(home)

    def _started(self, digest: str, sync: bytes) -> list[Path]:
        """Sync and its bytecode: adopt starts it once."""
        folder = self.folder / "sync"
        if not (folder / f"{digest}.pyz").exists():
            folder.mkdir(exist_ok=True)
            (folder / f"{digest}.pyz").write_bytes(sync)
            command = [PYTHON, "-I", "-S", str(folder / f"{digest}.pyz")]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        return sorted(folder.iterdir())

    def forget(self) -> None:
        """Fleet has never seen these nodes."""
        shutil.rmtree(self.project / ".fleet", ignore_errors=True)

    def forget_calls(self, addresses: Sequence[str]) -> None:
        """Count the service command from now."""
        for address in addresses:
            (self.rig.home(address) / "svc.log").unlink(missing_ok=True)

    def wrong(self, addresses: Sequence[str], *, calls: int) -> list[str]:
        """What is not as it should be: empty when all is well."""
        release = (self.folder / "release").read_text()
        artifact = hashlib.sha256(self.artifact.read_bytes()).digest()
        found = []
        for address in addresses:
            home = self.rig.home(address)
            folders = (home / name for name in ("app", "app/etc", "app/data"))
            found += [f"{each}" for each in folders if not each.is_dir() or each.stat().st_mode & 0o777 != 0o755]
            for name in FILES:
                path = home / "app/etc" / name
                if not path.is_file() or path.read_text() != _rendered(name, address, release):
                    found.append(f"{address}: {name}")
            path = home / "app/data/artifact.bin"
            if not path.is_file() or hashlib.sha256(path.read_bytes()).digest() != artifact:
                found.append(f"{address}: artifact")
            log = home / "svc.log"
            seen = len(log.read_text().splitlines()) if log.exists() else 0
            if seen != calls:
                found.append(f"{address}: the service command ran {seen} times, not {calls}")
        return found


def _inventory(rig: Rig, release: str) -> dict[str, object]:
    shared = {
        "ansible_port": PORT,
        "ansible_user": USER,
        "ssh_key_file": str(rig.key),
        "host_key": rig.host_key,
        "secret_salt": _SALT,
        "sudo": False,
        "owner": USER,
        "group": USER,
        "admin": USER,
        "admin_group": USER,
        "interpreter": PYTHON,
        "platform": "this-machine",
        "memory_gb": 64,
        "release": release,
    }
    hosts = {
        f"node-{number}": {
            "ansible_host": address,
            "node_id": address.rsplit(".", 1)[1],
            "node_addr": address,
            "home": str(rig.home(address)),
            "root": f"{rig.home(address)}/fleet",
            "daemons_dir": f"{rig.home(address)}/daemons",
            "sudoers_dir": f"{rig.home(address)}/daemons",
            "tmp_dir": "/tmp",
            "commands": {name: f"{rig.home(address)}/bin/{name}" for name in _COMMANDS},
        }
        for number, address in enumerate(rig.addresses, 1)
    }
    return {"all": {"vars": shared, "hosts": hosts}}


def _rendered(name: str, address: str, release: str) -> str:
    text = (WORK / f"{name}.j2").read_text()
    for key, value in (("node_addr", address), ("node_id", address.rsplit(".", 1)[1]), ("release", release)):
        text = text.replace("{{ vars." + key + " }}", value)
    return text


def _command(name: str) -> str:
    if name == "launchctl":
        return str(HERE / "node/launchctl")
    return shutil.which(name) or "/bin/true"
