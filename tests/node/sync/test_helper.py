"""The helper: answers a no-op without Python, lets nothing through but what it knows, under dash and bash."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release

from fleet.vocabulary.contracts.codec import decode
from fleet.vocabulary.contracts.desired import Command, Pmset, Sysctl
from fleet.vocabulary.contracts.sync import MAGIC, Hello

SHELLS = [shell for shell in ("dash", "bash", "sh") if shutil.which(shell)]
HELPER = files("fleet.node.sync").joinpath("helper.sh").read_text()
DIGEST = hashlib.sha256(b"zipapp").hexdigest()
STATE = "a" * 64


class Installed:
    """The helper on a node whose interpreter tells that it was started."""

    def __init__(self, node: Node, place: Path) -> None:
        self.node = node
        self.bin = place / "bin"
        self.bin.mkdir()
        self.python = self._tool("python", 'echo "python $*"')
        prints = place / "prints"
        prints.mkdir()
        self.prints = prints
        self.power = place / "pmset.txt"
        self.power.write_text("AC Power:\n sleep                0 (sleep prevented by powerd)\n womp  1\n")
        self.overrides = place / "overrides.txt"
        self.override("org.example.other", "disabled")
        self.values = place / "sysctl"
        self.values.mkdir()
        values = {
            "ROOT": node.layout.root,
            "INTERPRETER": self.python,
            "DOMAIN": "system",
            "PREFIX": "org.fleet-macs",
            "LAUNCHCTL": self._tool(
                "launchctl",
                f'[ "$1" = print ] && exec cat "{prints}/${{2#system/}}" 2>/dev/null\n'
                f'[ "$1" = print-disabled ] && exec cat "{self.overrides}"\n'
                f'echo "$*" >>"{place}/launched"; exit 3',
            ),
            "SHASUM": shutil.which("shasum") or self._tool("shasum", 'shift 2; exec sha256sum "$@"'),
            "PMSET": self._tool("pmset", f'exec cat "{self.power}"'),
            "SYSCTL": self._tool("sysctl", f'exec cat "{self.values}/$2"'),
        }
        text = HELPER
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        self.path = Path(node.layout.root, "sbin", "fleet-node")
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(text)
        self.zipapp = Path(node.layout.sync(DIGEST))
        self.zipapp.write_bytes(b"zipapp")

    def override(self, label: str, word: str) -> None:
        """What `launchctl print-disabled` shows."""
        self.overrides.write_text(f'\n\tdisabled services = {{\n\t\t"{label}" => {word}\n\t}}\n')

    def _tool(self, name: str, body: str) -> str:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    def run(self, *words: str, shell: str = "sh", stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        env = {"PATH": "/nowhere", "ENV": "/nowhere", "IFS": "x"}
        return subprocess.run(
            [shutil.which(shell) or shell, str(self.path), *words],
            input=stdin,
            capture_output=True,
            env=env,
            check=False,
        )

    def sync(self, state_id: str, shell: str = "sh") -> subprocess.CompletedProcess[bytes]:
        return self.run("sync", "1", state_id, "run-1", DIGEST, shell=shell)

    def idle(self, state_id: str, shell: str = "sh") -> bool:
        """Whether it answered by itself."""
        answer = self.sync(state_id, shell)
        assert answer.returncode == 0, answer
        if answer.stdout.startswith(b"python -I -S"):
            return False
        assert answer.stdout.startswith(MAGIC)
        head, body, end = answer.stdout[len(MAGIC) :].split(b"\n")
        assert (int(head), end) == (len(body), b"")
        hello = decode(body, Hello)
        assert (hello.idle, hello.state_id, hello.facts) == (True, state_id, None)
        assert json.loads(body)["kind"] == "hello"
        return True


def a_release(node: Node) -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a b.json"), "one", mode=0o600)
    release.add(Pmset(task="t", settings={"sleep": 0})).add(
        Sysctl(task="t", settings={"iogpu.wired_limit_mb": "14000"})
    )
    return release.tree("node", {"a": b"1"}).daemon("agent", program=f"{node.layout.root}/prog/python3")


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Installed, str]:
    """A node after a committed deploy, and the state id that its receipt has."""
    node = Node(tmp_path)
    program = Path(node.layout.root, "prog", "python3")
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    node.mac.sysctl["kern.osversion"] = "24G222"
    release = a_release(node)
    assert node.deploy(release) == "committed"
    helper = Installed(node, tmp_path)
    (helper.values / "kern.osversion").write_text("24G222\n")
    for label, job in node.mac.jobs.items():
        (helper.prints / label).write_text(f"system/{label} = {{\n\tstate = running\n\tpid = {job.pid}\n}}\n")
    (helper.values / "iogpu.wired_limit_mb").write_text("14000\n")
    return helper, release.state.state_id


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_to_do_is_answered_without_python(installed: tuple[Installed, str], shell: str) -> None:
    helper, state_id = installed
    assert helper.idle(state_id, shell)


@pytest.mark.parametrize("shell", SHELLS)
def test_another_state_and_facts_only_start_python(installed: tuple[Installed, str], shell: str) -> None:
    helper, _ = installed
    assert not helper.idle(STATE, shell)
    assert not helper.idle("-", shell)
    answer = helper.sync(STATE, shell)
    assert answer.stdout.decode().split() == ["python", "-I", "-S", str(helper.zipapp), "session", STATE, "run-1"]


DRIFTS = {
    "a file's content": lambda h: Path(h.node.layout.etc("a b.json")).write_text("two"),
    "a file's mode": lambda h: Path(h.node.layout.etc("a b.json")).chmod(0o644),
    "a file that is gone": lambda h: Path(h.node.layout.etc("a b.json")).unlink(),
    "a directory's mode": lambda h: Path(h.node.layout.root, "etc").chmod(0o777),
    "a plist's content": lambda h: Path(h.node.layout.plist("org.fleet-macs.agent")).write_text("<plist/>"),
    "a tree that is gone": lambda h: shutil.rmtree(Path(h.node.layout.root, "envs")),
    "a program that was replaced": lambda h: Path(h.node.layout.root, "prog", "python3").write_text("#!/bin/sh\n#\n"),
    "a program that is gone": lambda h: Path(h.node.layout.root, "prog", "python3").unlink(),
    "a daemon that is not registered": lambda h: (h.prints / "org.fleet-macs.agent").unlink(),
    "a daemon without a pid": lambda h: (h.prints / "org.fleet-macs.agent").write_text("x = {\n\tstate = running\n}\n"),
    "a daemon that waits": lambda h: (h.prints / "org.fleet-macs.agent").write_text(
        "x = {\n\tstate = spawn scheduled\n\tpid = 3\n}\n"
    ),
    "only a nested pid": lambda h: (h.prints / "org.fleet-macs.agent").write_text(
        "x = {\n\tstate = running\n\tc = {\n\t\tpid = 3\n\t}\n}\n"
    ),
    "a daemon that was disabled": lambda h: h.override("org.fleet-macs.agent", "disabled"),
    "a daemon that was disabled, as older systems say it": lambda h: h.override("org.fleet-macs.agent", "true"),
    "overrides that launchctl does not tell": lambda h: h.overrides.unlink(),
    "an upgrade of the system": lambda h: (h.values / "kern.osversion").write_text("25A1\n"),
    "a power setting": lambda h: h.power.write_text("AC Power:\n sleep 1\nBattery Power:\n sleep 0\n"),
    "a power setting that is gone": lambda h: h.power.write_text("AC Power:\n womp 1\n"),
    "a kernel setting": lambda h: (h.values / "iogpu.wired_limit_mb").write_text("0\n"),
    "a pending run": lambda h: Path(h.node.layout.state("pending")).write_text("r"),
    "a cut receipt": lambda h: Path(h.node.layout.state("receipt")).write_text(
        Path(h.node.layout.state("receipt")).read_text().rsplit("\n", 2)[0]
    ),
    "no receipt": lambda h: Path(h.node.layout.state("receipt")).unlink(),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_any_drift_starts_the_full_check(installed: tuple[Installed, str], drift: str) -> None:
    helper, state_id = installed
    DRIFTS[drift](helper)
    assert not helper.idle(state_id)


@pytest.mark.parametrize("label", ["org.fleet-macs.agent", "org.fleet-macs.agent2", "fleet-macs.agent"])
@pytest.mark.parametrize("word", ["enabled", "false"])
def test_an_override_that_disables_nothing_of_ours_is_no_drift(
    installed: tuple[Installed, str], label: str, word: str
) -> None:
    helper, state_id = installed
    helper.override(label, word)
    assert helper.idle(state_id)
    if label != "org.fleet-macs.agent":
        helper.override(label, "disabled")
        assert helper.idle(state_id)


def test_a_receipt_of_an_older_fleet_is_still_understood(installed: tuple[Installed, str]) -> None:
    helper, state_id = installed
    receipt = Path(helper.node.layout.state("receipt"))
    lines = [line for line in receipt.read_text().splitlines() if "kern.osversion" not in line]
    receipt.write_text("\n".join([*lines, ""]).replace("running enabled - -", "running - - -"))
    helper.override("org.fleet-macs.agent", "disabled")
    assert helper.idle(state_id)


def test_a_command_with_a_check_is_never_answered_without_python(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = node.release()
    release.add(Command(task="t", name="c", argv=("/bin/true",), user="", check=("/bin/true",)))
    node.mac.programs["/bin/true"] = lambda _: type(node.mac.run(("sw_vers",)))(code=0)
    assert node.deploy(release) == "committed"
    assert not Installed(node, tmp_path).idle(release.state.state_id)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_node_without_that_sync_ends_with_127_and_takes_it(tmp_path: Path, shell: str) -> None:
    helper = Installed(Node(tmp_path), tmp_path)
    content = os.urandom(3_000_000)
    digest = hashlib.sha256(content).hexdigest()
    answer = helper.run("sync", "1", STATE, "r", digest, shell=shell)
    assert (answer.returncode, answer.stdout) == (127, b"")
    assert b"fleet-node: sync " in answer.stderr
    put = helper.run("put", f"sync/{digest}.pyz", str(len(content)), digest, shell=shell, stdin=content + b"more")
    assert (put.returncode, put.stderr) == (0, b"")
    assert Path(helper.node.layout.sync(digest)).read_bytes() == content
    assert helper.run("sync", "1", STATE, "r", digest, shell=shell).stdout.startswith(b"python")
    assert [path.name for path in Path(helper.node.layout.root, "sync").glob("*.part")] == []


@pytest.mark.parametrize("sent", [b"short", b"x" * 11])
def test_bytes_that_are_not_what_was_announced_leave_nothing(tmp_path: Path, sent: bytes) -> None:
    helper = Installed(Node(tmp_path), tmp_path)
    put = helper.run("put", f"sync/{STATE}.pyz", "11", STATE, stdin=sent)
    assert put.returncode == 65
    assert [path.name for path in Path(helper.node.layout.root, "sync").iterdir()] == [f"{DIGEST}.pyz"]


def test_a_zipapp_of_another_content_is_not_run(tmp_path: Path) -> None:
    helper = Installed(Node(tmp_path), tmp_path)
    helper.zipapp.write_bytes(b"tampered")
    assert helper.sync(STATE).returncode == 127


def test_a_missing_interpreter_is_told_apart(tmp_path: Path) -> None:
    helper = Installed(Node(tmp_path), tmp_path)
    Path(helper.python).unlink()
    answer = helper.sync(STATE)
    assert answer.returncode == 126
    assert b"adopt this node again" in answer.stderr


def test_attach_and_uninstall_reach_sync(tmp_path: Path) -> None:
    helper = Installed(Node(tmp_path), tmp_path)
    assert helper.run("attach", "run-1", "7", DIGEST).stdout.split()[-3:] == [b"attach", b"run-1", b"7"]
    assert helper.run("uninstall").returncode == 64
    Path(helper.node.layout.current_sync).symlink_to(f"{DIGEST}.pyz")
    assert helper.run("uninstall", "--keep-data").stdout.split()[-2:] == [b"uninstall", b"--keep-data"]


def test_a_confirmation_by_hand_reaches_sync(tmp_path: Path) -> None:
    helper = Installed(Node(tmp_path), tmp_path)
    assert helper.run("confirm", "r1").returncode == 64
    helper.node.machine.disk.symlink(f"{DIGEST}.pyz", helper.node.layout.current_sync)
    assert helper.run("confirm", "r1").stdout.split()[-2:] == [b"confirm", b"r1"]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("run",),
        ("sync", "1", STATE, "r"),
        ("sync", "x", STATE, "r", DIGEST),
        ("sync", "1", STATE.upper(), "r", DIGEST),
        ("sync", "1", STATE[1:], "r", DIGEST),
        ("sync", "1", STATE, "../r", DIGEST),
        ("sync", "1", STATE, "-r", DIGEST),
        ("sync", "1", STATE, "r;id", DIGEST),
        ("sync", "1", STATE, "r\nid", DIGEST),
        ("sync", "1", STATE, "r", "../../etc/passwd"),
        ("put", "sbin/fleet-node", "1", DIGEST),
        ("put", f"sync/../{DIGEST}.pyz", "1", DIGEST),
        ("put", f"sync/{DIGEST}.pyz", "-1", DIGEST),
        ("put", f"sync/{DIGEST}.pyz", "1", STATE),
        ("put", f"sync/{DIGEST}.pyz", "0", DIGEST),
        ("put", f"sync/{DIGEST}.pyz", "99999999999", DIGEST),
        ("attach", "r", "08", DIGEST),
        ("attach", "r", "1; id", DIGEST),
        ("confirm",),
        ("confirm", "r1", "x"),
        ("confirm", "../r1"),
        ("uninstall", "--all"),
        ("uninstall", "--keep-data", "x"),
        ("start",),
        ("start", "-k", "org.fleet-macs.agent"),
    ],
)
@pytest.mark.parametrize("shell", SHELLS)
def test_arguments_that_it_does_not_know_are_refused(tmp_path: Path, words: tuple[str, ...], shell: str) -> None:
    answer = Installed(Node(tmp_path), tmp_path).run(*words, shell=shell)
    assert (answer.returncode, answer.stdout) == (64, b"")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_daemon_of_the_last_deploy_may_be_started_and_its_answer_is_launchds(
    installed: tuple[Installed, str], tmp_path: Path, shell: str
) -> None:
    helper, _ = installed
    assert helper.run("start", "org.fleet-macs.agent", shell=shell).returncode == 3
    assert (tmp_path / "launched").read_text() == "kickstart system/org.fleet-macs.agent\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "label",
    [
        "com.apple.sshd", "org.fleet-macs.other", "org.fleet-macs", "org.fleet-macs.", "org.fleet-macsXagent", "",
        "org.fleet-macs.*", "org.fleet-macs.agent/x", "org.fleet-macs.agent\nx", "org.fleet-macs.agent x", "-k", ".",
    ],
)  # fmt: skip
def test_nothing_else_may_be_started(installed: tuple[Installed, str], tmp_path: Path, shell: str, label: str) -> None:
    helper, _ = installed
    answer = helper.run("start", label, shell=shell)
    assert (answer.returncode, answer.stdout) == (64, b"")
    assert not (tmp_path / "launched").exists()


def test_nothing_is_started_while_a_deploy_is_under_way(installed: tuple[Installed, str], tmp_path: Path) -> None:
    helper, _ = installed
    receipt = Path(helper.node.layout.state("receipt"))
    receipt.rename(tmp_path / "receipt")
    answer = helper.run("start", "org.fleet-macs.agent")
    assert answer.returncode == 75
    assert b"a deploy is under way" in answer.stderr
    receipt.symlink_to(tmp_path / "receipt")
    assert helper.run("start", "org.fleet-macs.agent").returncode == 75
    assert not (tmp_path / "launched").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_foreign_environment_has_no_say(installed: tuple[Installed, str], shell: str) -> None:
    helper, state_id = installed
    assert helper.idle(state_id, shell)  # `run` sets PATH, ENV and IFS to nonsense


@settings(max_examples=30, deadline=None)
@given(text=st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=200))
def test_any_receipt_is_read_without_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    place = tmp_path_factory.mktemp("node")
    node = Node(place)
    Path(node.layout.state("receipt")).write_text(text)
    assert not Installed(node, place).idle(STATE)


def test_every_placeholder_is_documented_at_the_top() -> None:
    head, body = HELPER.split("set -u\n", 1)
    names = {part for part in body.split("@")[1::2] if part.isupper()}
    assert names == {"ROOT", "INTERPRETER", "DOMAIN", "LAUNCHCTL", "SHASUM", "PMSET", "SYSCTL", "PREFIX"}
    assert [name for name in sorted(names) if f"@{name}@" not in head] == []
