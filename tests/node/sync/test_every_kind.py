"""For every kind of thing that a release holds: done, there is nothing left to do; undone, it is as before."""

from __future__ import annotations

import hashlib
import os
import tempfile
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import USER, Node, Release

from fleet.node.sync.machine import Ran
from fleet.vocabulary.contracts.desired import (
    Command,
    Daemon,
    Directory,
    File,
    Item,
    Pmset,
    Sysctl,
    Tree,
    TreeFile,
    WaitFor,
)

EXAMPLES = 200 if os.environ.get("FLEET_SHOW") else 12
WIRED = "iogpu.wired_limit_mb"


@dataclass
class World:
    """A node, and programs on it that leave a trace."""

    node: Node

    def __post_init__(self) -> None:
        self.node.mac.programs |= {"/bin/make": self._make, "/bin/unmake": self._unmake, "/bin/is-made": self._is_made}

    def place(self, name: str) -> str:
        return f"{self.node.layout.root}/made-{name}"

    def picture(self) -> dict[str, Any]:
        root = Path(self.node.layout.root)
        made = {path.name: path.read_bytes() for path in root.glob("made-*")}
        etc = {str(path): (path.read_bytes(), path.stat().st_mode) for path in root.glob("etc/*") if path.is_file()}
        folders = {str(path): path.stat().st_mode for path in root.glob("etc*") if path.is_dir()}
        jobs = {label: job.raw for label, job in self.node.mac.jobs.items()}
        wired = self.node.mac.sysctl[WIRED]
        return {
            "made": made,
            "etc": etc,
            "folders": folders,
            "jobs": jobs,
            "pmset": dict(self.node.mac.pmset),
            "wired": wired,
        }

    def _make(self, words: tuple[str, ...]) -> Ran:
        Path(words[1]).write_text("made")
        return Ran(code=0)

    def _unmake(self, words: tuple[str, ...]) -> Ran:
        Path(words[1]).unlink(missing_ok=True)
        return Ran(code=0)

    def _is_made(self, words: tuple[str, ...]) -> Ran:
        return Ran(code=0 if Path(words[1]).exists() else 1)


Add = Callable[[World, Release], None]


def directory(mode: int) -> Add:
    return lambda world, release: add(release.directory(f"{world.node.layout.root}/etc-more", mode))


def file(text: str, mode: int) -> Add:
    return lambda world, release: add(release.file(world.node.layout.etc("file.json"), text, mode))


def archive(content: str) -> Add:
    return lambda _, release: add(release.tree("node", {"m.py": content.encode()}))


def model(content: str) -> Add:
    def put(world: World, release: Release) -> None:
        blob = release.blob(content.encode())
        path = world.node.layout.model("m", hashlib.sha256(content.encode()).hexdigest())
        part = TreeFile(path="weights.bin", blob=blob)
        release.add(Tree(task="t", role="model", name="m", path=path, files=(part,)))

    return put


def daemon(word: str) -> Add:
    return lambda _, release: add(release.daemon("agent", word))


def pmset(value: int) -> Add:
    return lambda _, release: add(release.add(Pmset(task="t", settings={"sleep": value, "womp": value})))


def sysctl(value: int) -> Add:
    return lambda _, release: add(release.add(Sysctl(task="t", settings={WIRED: str(value)})))


def command(shape: str) -> Add:
    def put(world: World, release: Release) -> None:
        place = world.place(shape)
        fields: dict[str, dict[str, Any]] = {
            "creates": {"creates": place},
            "check": {"check": ("/bin/is-made", place)},
            "change": {"on_change_of": (f"file:{world.node.layout.etc('file.json')}",)},
            "bare": {},
        }
        undo = ("/bin/unmake", place)
        release.add(Command(task="t", name=shape, argv=("/bin/make", place), user=USER, undo=undo, **fields[shape]))

    return put


def wait_for(_: int) -> Add:
    return lambda world, release: add(release.add(WaitFor(task="t", path=f"{world.node.layout.root}/etc")))


def add(_: Release) -> None:
    """A release under construction was changed in place."""


MODES = st.sampled_from([0o644, 0o600])
TEXTS = st.sampled_from(["one", "two"])
KINDS: dict[Any, dict[str, st.SearchStrategy[Add]]] = {
    Directory: {"directory": st.builds(directory, st.sampled_from([0o755, 0o700]))},
    File: {"file": st.builds(file, TEXTS, MODES)},
    Tree: {"archive": st.builds(archive, TEXTS), "model": st.builds(model, TEXTS)},
    Daemon: {"daemon": st.builds(daemon, TEXTS)},
    Pmset: {"pmset": st.builds(pmset, st.integers(0, 1))},
    Sysctl: {"sysctl": st.builds(sysctl, st.integers(1000, 1001))},
    Command: {shape: st.just(command(shape)) for shape in ("creates", "check", "change", "bare")},
    WaitFor: {"wait_for": st.builds(wait_for, st.just(0))},
}
PARTS = {name: strategy for kinds in KINDS.values() for name, strategy in kinds.items()}
wishes = st.fixed_dictionaries({}, optional=PARTS)


def build(world: World, wish: dict[str, Add]) -> Release:
    release = world.node.release().directory(f"{world.node.layout.root}/etc")
    for put in wish.values():
        put(world, release)
    return release


def test_every_kind_of_the_contract_is_tried_here() -> None:
    assert set(KINDS) == set(typing.get_args(Item))


@settings(max_examples=EXAMPLES, deadline=None)
@given(first=wishes, second=wishes)
def test_what_was_applied_leaves_nothing_to_plan(first: dict[str, Add], second: dict[str, Add]) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = World(Node(Path(place)))
        for wish in (first, second, first):
            release = build(world, wish)
            assert world.node.deploy(release) == "committed", world.node.events()
            assert world.node.plan(release) == ()
            assert world.node.deploy(release) == "committed"
            assert world.node.plan(release) == ()


@settings(max_examples=EXAMPLES, deadline=None)
@given(first=wishes, second=wishes)
def test_what_failed_is_undone_kind_by_kind(first: dict[str, Add], second: dict[str, Add]) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = World(Node(Path(place)))
        good = build(world, first)
        assert world.node.deploy(good) == "committed", world.node.events()
        before = world.picture()
        assert world.node.deploy(build(world, second).daemon("last", program="/nowhere")) == "reverted"
        assert world.node.plan(good) == ()
        after = world.picture()
        made_before, made_after = before.pop("made"), after.pop("made")
        assert after == before
        # A command that both have may run again on the way back (its file changed back): what is new is undone.
        assert not {f"made-{name}" for name in second if name not in first} & set(made_after) - set(made_before)
