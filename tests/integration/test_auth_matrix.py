"""Whatever lets `ssh` in lets `fleet deploy` in: every way to log in, each with a whole deploy against a real sshd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from fleet.control.link.hostkeys import fingerprint
from fleet.sim.doors.openssh import OpenSshDoor
from fleet.sim.ports import free_ports
from fleet.sim.processes import end_marked
from fleet.sim.tree import make_tree
from tests.integration.sshd import SshdLog, SshdRoom, needs_sshd, sshd_room, until
from tests.integration.wire import Wire

pytestmark = [
    pytest.mark.sshd,
    needs_sshd,
    pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="no ssh-agent here"),
    pytest.mark.timeout(120),
]

NODE = "mac-1"
NOTE = {"name": "note", "file": {"dest": "site/note.txt", "content": "one\n"}}


def run(*words: object, env: Mapping[str, str] | None = None) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, env={**os.environ, **(env or {})})


@dataclass(frozen=True)
class Stage:
    """A deployed Mac behind an sshd with MaxAuthTries 2 that trusts a CA, and a laptop that has only what is given."""

    room: SshdRoom
    home: Path
    sockets: Path
    user: str
    agents: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def right(self) -> Path:
        """The key that the node knows."""
        return self.room.folder / "keys" / "id_ed25519"

    def key(self, name: str) -> Path:
        """A key that nobody knows, made once."""
        path = self.home / ".ssh" / name
        if not path.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
        return path

    def agent(self, *keys: Path) -> str:
        """The socket of an agent that holds these, in order."""
        sock = self.sockets / f"{len(self.agents)}.sock"
        self.agents[str(sock)] = subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL)
        until(sock.exists)
        for key in keys:
            run("ssh-add", "-q", key, env={"SSH_AUTH_SOCK": str(sock)})
        return str(sock)

    def configure(self, *lines: str) -> None:
        """The laptop's ssh_config about the node, which the inventory knows by a name of its own."""
        door = self.room.doors[NODE]
        own = (f"HostName 127.0.0.1\n  Port {door.port}", *lines)
        text = "".join(f"  {line}\n" for line in own)
        (self.home / ".ssh" / "config").write_text(f"Host rack-1\n{text}")

    def idle_deploy(self, *, agent: str = "") -> SshdLog:
        """A deploy that finds nothing to do, and what the node's sshd said of it."""
        room = replace(self.room, extra={"HOME": str(self.home), "SSH_AUTH_SOCK": agent})
        with self.room.log_of(NODE) as logs:
            assert "nothing to do" in room.deploy().stderr
        assert logs[0].sessions == 1
        return logs[0]


def accepted(log: SshdLog, key: Path, *, certificate: bool = False) -> bool:
    """Whether sshd let somebody in by this key."""
    shown = fingerprint(Path(f"{key}.pub").read_text())
    kind = "ED25519-CERT" if certificate else "ED25519"
    return log.count(rf"Accepted publickey for .* ssh2: {kind} {shown.replace('+', '[+]')}") == 1


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    sockets = Path(tempfile.mkdtemp(prefix="fleet-agents-", dir="/tmp"))
    with sshd_room(tmp_path_factory.mktemp("auth"), nodes=1) as room:
        room.playbook(NOTE)
        room.deploy()
        home = room.folder / "laptop"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        stage = Stage(room, home, sockets, str(room.variables(NODE)["ssh_user"]))
        ca = stage.key("ca")
        _configure_sshd(room.doors[NODE], "MaxAuthTries 2", f'TrustedUserCAKeys "{ca}.pub"')
        _forget_key_file(room)
        try:
            yield stage
        finally:
            for agent in stage.agents.values():
                agent.terminate()
                agent.wait()
            shutil.rmtree(sockets, ignore_errors=True)


def _configure_sshd(door: OpenSshDoor, *lines: str) -> None:
    """Let a running sshd read more lines of configuration."""
    folder = door.tree.host_key.parent
    with (folder / "sshd_config").open("a") as file:
        file.write("\n".join(lines) + "\n")
    before = door.log.read_text().count("Server listening")
    os.kill(int((folder / "sshd.pid").read_text()), signal.SIGHUP)
    until(lambda: door.log.read_text().count("Server listening") > before)


def _forget_key_file(room: SshdRoom) -> None:
    """The inventory says no longer which key to offer, and calls the node by a name that only ssh_config knows."""
    path = room.folder / "inventory" / "fleet.yml"
    data = yaml.safe_load(path.read_text())
    data["all"]["vars"].pop("ansible_ssh_private_key_file", None)
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    room.set_host(NODE, ansible_host="rack-1", ansible_port=None)


@pytest.fixture
def stage(opened: Stage) -> Iterator[Stage]:
    """The stage, with nothing remembered."""
    shutil.rmtree(opened.room.folder / ".fleet" / "keys", ignore_errors=True)
    opened.configure()
    yield opened
    (opened.home / ".ssh" / "known_hosts").unlink(missing_ok=True)


def test_a_key_of_the_agent_lets_in(stage: Stage) -> None:
    assert accepted(stage.idle_deploy(agent=stage.agent(stage.right)), stage.right)


def test_identity_agent_lets_in_where_the_environments_agent_holds_nothing(stage: Stage) -> None:
    sock = stage.agent(stage.right)
    Path(stage.sockets / f"{stage.user}@127.0.0.1").symlink_to(sock)
    stage.configure(f"IdentityAgent {stage.sockets}/%r@%h")
    assert accepted(stage.idle_deploy(agent=stage.agent()), stage.right)


def test_identity_agent_none_keeps_the_agent_out(stage: Stage) -> None:
    stage.configure("IdentityAgent none", f"IdentityFile {stage.right}")
    log = stage.idle_deploy(agent=stage.agent(stage.key("wrong-1"), stage.key("wrong-2")))
    assert accepted(log, stage.right)
    assert log.count("Failed publickey") == 0


@pytest.mark.parametrize("place", ["beside the key", "CertificateFile", "the agent", "the agent, beside the key"])
def test_a_certificate_of_a_trusted_ca_lets_in(stage: Stage, place: str) -> None:
    key = stage.home / ".ssh" / f"vouched-{place.replace(' ', '-').replace(',', '')}"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    run("ssh-keygen", "-q", "-s", stage.key("ca"), "-I", "op", "-n", stage.user, f"{key}.pub")
    agent = stage.agent(key) if "agent" in place else ""  # ssh-add takes the certificate beside the key, too
    lines = {
        "beside the key": [f"IdentityFile {key}"],
        "CertificateFile": [f"IdentityFile {key}", "CertificateFile ~/.ssh/elsewhere.pub"],
        "the agent": [],
        "the agent, beside the key": [f"IdentityFile {key}", "IdentitiesOnly yes"],
    }[place]
    certificate = Path(f"{key}-cert.pub")
    if place == "CertificateFile":
        certificate.rename(stage.home / ".ssh" / "elsewhere.pub")
    if place == "the agent":
        run("ssh-add", "-q", "-d", key, env={"SSH_AUTH_SOCK": agent})
        run("ssh-add", "-q", key, env={"SSH_AUTH_SOCK": agent})
    stage.configure(*lines)
    assert accepted(stage.idle_deploy(agent=agent), key, certificate=True)


def test_wrong_keys_first_cost_one_more_connection_once(stage: Stage) -> None:
    agent = stage.agent(*(stage.key(f"wrong-{number}") for number in (1, 2, 3)), stage.right)
    log = stage.idle_deploy(agent=agent)
    assert accepted(log, stage.right)
    assert (log.connections, log.count("Failed publickey")) == (2, 3)
    again = stage.idle_deploy(agent=agent)
    assert accepted(again, stage.right)
    assert (again.connections, again.count("Failed publickey")) == (1, 0)
    (remembered,) = (stage.room.folder / ".fleet" / "keys").iterdir()
    assert remembered.read_text().strip() == fingerprint(Path(f"{stage.right}.pub").read_text())


@pytest.mark.parametrize("named", ["~/.ssh/named", "%d/.ssh/named.pub"])
def test_the_key_that_ssh_config_names_comes_before_the_agents_others(stage: Stage, named: str) -> None:
    agent = stage.agent(*(stage.key(f"wrong-{number}") for number in (1, 2, 3)), stage.right)
    (stage.home / ".ssh" / "named.pub").write_text(Path(f"{stage.right}.pub").read_text())
    stage.configure(f"IdentityFile {named}")
    log = stage.idle_deploy(agent=agent)
    assert accepted(log, stage.right)
    assert (log.connections, log.count("Failed publickey")) == (1, 0)


def test_a_bastion_that_drops_half_of_the_new_connections_lets_in(stage: Stage) -> None:
    marker = f"bastion-{stage.room.folder.name}"
    tree = make_tree(stage.room.folder / "bastion", marker=marker)
    tree.authorized_keys.write_text(Path(f"{stage.right}.pub").read_text())
    bastion = OpenSshDoor(tree, next(free_ports()))
    bastion.start()
    wire = Wire(bastion.port)
    wire.shut = lambda number: number % 2 == 1
    try:
        public = Path(f"{tree.host_key}.pub").read_text()
        (stage.home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{wire.port} {public}")
        stage.configure(
            "ProxyJump bastion",
            f"IdentityFile {stage.right}",
            f"Host bastion\n  HostName 127.0.0.1\n  Port {wire.port}\n  IdentityFile {stage.right}",
        )
        assert accepted(stage.idle_deploy(), stage.right)
        assert wire.connections == 2
    finally:
        wire.close()
        bastion.stop()
        end_marked(marker)


@pytest.fixture
def by_ssh(stage: Stage) -> Iterator[Stage]:
    """The stage with `link: openssh`. ssh does not look at $HOME: the inventory says all."""
    door = stage.room.doors[NODE]
    stage.room.set_host(NODE, link="openssh", ansible_host="127.0.0.1", ansible_port=door.port)
    yield stage
    stage.room.set_host(NODE, link=None, ansible_host="rack-1", ansible_port=None, ansible_ssh_private_key_file=None)


@pytest.mark.parametrize("place", ["a file", "the agent"])
def test_link_openssh_deploys_looks_and_runs_commands(by_ssh: Stage, place: str) -> None:
    agent = by_ssh.agent(by_ssh.right) if place == "the agent" else ""
    if place == "a file":
        by_ssh.room.set_host(NODE, ansible_ssh_private_key_file=str(by_ssh.right))
    log = by_ssh.idle_deploy(agent=agent)
    assert accepted(log, by_ssh.right)
    assert log.connections == 1
    room = replace(by_ssh.room, extra={"SSH_AUTH_SOCK": agent})
    assert room.fleet("exec", "--", "sw_vers", "-productName").stdout == "macOS\n"


def test_link_openssh_carries_a_change_and_a_look(by_ssh: Stage) -> None:
    room = by_ssh.room
    room.set_host(NODE, ansible_ssh_private_key_file=str(by_ssh.right))
    note = room.root(NODE) / "site" / "note.txt"
    note.write_text("by hand\n")
    room.deploy()
    assert note.read_text() == "one\n"
    assert NODE in room.fleet("status", expect=None).stdout


def test_link_openssh_stops_at_another_host_key_and_tells_what_was_refused(by_ssh: Stage) -> None:
    room = replace(by_ssh.room, extra={"SSH_AUTH_SOCK": ""})
    room.set_host(NODE, ansible_ssh_private_key_file=str(by_ssh.key("wrong-1")))
    assert "refused" in room.deploy(expect=4).stdout
    right = str(room.variables(NODE)["host_key"])
    other = " ".join(Path(f"{by_ssh.key('ca')}.pub").read_text().split()[:2])
    room.set_host(NODE, host_key=other)
    try:
        with room.log_of(NODE) as logs:
            answer = room.deploy(expect=4)
    finally:
        room.set_host(NODE, host_key=right)
    assert "its SSH key is not the pinned one" in answer.stdout
    assert fingerprint(right) in answer.stdout
    assert fingerprint(other) in answer.stdout
    assert logs[0].authentications == 0
