"""Secrets of every kind over a real sshd, by runs that pass and runs that fail: they are found nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.integration.conftest import environment
from tests.integration.planted import Laptop, a_laptop, watched_argv
from tests.integration.sshd import SshdRoom, needs_sshd, sshd_room

pytestmark = [pytest.mark.sshd, needs_sshd, pytest.mark.timeout(180)]

READER = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).read_text(); time.sleep(600)"
LEAKY = ["/bin/sh", "-c", 'cat "$0"/*.key; cat "$0"/*.key >&2; exit 1', "{{ layout.root }}/etc"]


@dataclass
class Scene:
    """One Mac and a laptop; everything that any command said."""

    room: SshdRoom
    laptop: Laptop
    said: str = ""

    def fleet(self, *words: str, expect: int | None = 0) -> str:
        answer = replace(self.room, extra=self.laptop.environ).fleet(*words, expect=expect)
        self.said += answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    def playbook(self, *more: dict[str, object], health: tuple[dict[str, object], ...] = ()) -> None:
        files = [
            {"name": kind, "file": {"dest": f"etc/{kind}.key", "secret": reference}}
            for kind, reference in self.laptop.references.items()
        ]
        argv = ["{{ interpreter }}", "-c", READER, "{{ layout.root }}/etc/file.key"]
        reader = {"label": "reader", "program": argv, "restart_on": ["etc/file.key"]}
        idle = {"label": "idle", "program": ["{{ interpreter }}", "-c", "import time; time.sleep(600)"]}
        daemons = [{"name": one["label"], "daemon": one} for one in (reader, idle)]
        self.room.playbook(*files, *daemons, *more, health=health)

    def kept(self, name: str) -> str:
        return (self.room.root("mac-1") / "etc" / f"{name}.key").read_text()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("planted")
    laptop = a_laptop(folder / "laptop")
    with sshd_room(folder / "room", nodes=1) as room:
        yield Scene(room, laptop)


def test_planted_secrets_are_on_the_node_in_0600_files_and_found_nowhere_else(scene: Scene) -> None:
    room, laptop = scene.room, scene.laptop
    scene.playbook(health=({"launchd": {"daemon": "reader", "stable_for": "200ms"}},))
    with watched_argv(laptop) as argv:
        # Runs that pass: planned, saved, deployed, idle, and with other values.
        scene.fleet("plan", "test", "--commands")
        scene.fleet("plan", "test", "--json", "-o", "saved.plan")
        scene.fleet("deploy", "--plan", "saved.plan", "--yes")
        assert {kind: scene.kept(kind) for kind in laptop.references} == {
            kind: laptop.values[kind] for kind in laptop.references
        }
        listed = json.loads(scene.fleet("secret", "check", "--playbook", "test", "--on", "all", "--json"))
        assert {use["there"] for one in listed for use in one["uses"]} == {"same"}
        scene.fleet("deploy", "test", "--yes", "--refresh-secrets", "--json")
        before = laptop.values["op"]
        laptop.plant("op")
        (laptop.vault / "op.fails").touch()
        assert "the vault is on fire" in scene.fleet("plan", "test", expect=1)  # a run that fails before it begins
        (laptop.vault / "op.fails").unlink()
        scene.fleet("secret", "check", "--playbook", "test", "--on", "all", expect=1)
        # A run that fails on the node, at a command that prints what it must not.
        scene.playbook({"name": "leaky", "sensitive": True, "command": {"argv": LEAKY, "check": ["/bin/false"]}})
        scene.fleet("deploy", "test", "--yes", "--commands", expect=1)
        assert scene.kept("op") == before  # reverted
        # One that fails at a gate, after the files are in place.
        broken = {"label": "broken", "program": ["/bin/sh", "-c", "exit 3"], "restart_on": ["etc/op.key"]}
        gate = {"launchd": {"daemon": "broken", "stable_for": "1s", "within": "3s"}}
        scene.playbook({"name": "broken", "daemon": broken}, health=(gate,))
        scene.fleet("deploy", "test", "--yes", expect=1)
        assert scene.kept("op") == before
        scene.playbook()
        scene.fleet("deploy", "test", "--yes")
        assert scene.kept("op") == laptop.values["op"]
        scene.fleet("exec", "--", "ps", "axww", "-o", "args")
        scene.fleet("audit")
    assert argv == set()
    assert not laptop.found_in(scene.said.encode())
    root = room.root("mac-1")
    found = [path for path in laptop.files_with([laptop.folder.parent]) if not path.is_relative_to(laptop.vault)]
    assert {path.parent for path in found} == {root / "etc", root / "files"}
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_rotating_a_secret_restarts_only_the_daemon_that_reads_it(scene: Scene) -> None:
    room, laptop = scene.room, scene.laptop
    scene.playbook()
    scene.fleet("deploy", "test", "--yes")
    before = room.pids()
    reference = laptop.references["file"]
    answer = subprocess.run(
        [sys.executable, "-m", "fleet", "secret", "rotate", reference, "--playbook", "test", "--stdin", "--yes"],
        cwd=room.folder,
        env={**environment(), **laptop.environ},
        input="a-new-value\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "a-new-value" not in answer.stdout + answer.stderr
    assert scene.kept("file") == "a-new-value"
    changed = {label.rpartition(".")[2] for (_, label), pid in room.pids().items() if before[_, label] != pid}
    assert changed == {"reader"}
    assert (laptop.vault / "file.previous").stat().st_mode & 0o777 == 0o600
