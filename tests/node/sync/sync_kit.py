"""A node in a temporary folder, and small releases for it."""

from __future__ import annotations

import grp
import hashlib
import io
import os
import plistlib
import pwd
import shutil
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from fleet.node.sync import releases
from fleet.node.sync.apply import apply
from fleet.node.sync.disk import Disk
from fleet.node.sync.journal import read_events
from fleet.node.sync.machine import Machine
from fleet.node.sync.observe import observe
from fleet.node.sync.pending import hand_over
from fleet.node.sync.stage import Stage
from fleet.node.sync.steps import steps
from fleet.testing.clock import FakeClock
from fleet.testing.launchd import FakeMac
from fleet.vocabulary.contracts.desired import Blob, Daemon, DesiredState, Directory, File, Item, Tree
from fleet.vocabulary.contracts.sync import Event, RunRequest, Step
from fleet.vocabulary.layout import NodeLayout

USER = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name


def a_layout(place: Path) -> NodeLayout:
    return NodeLayout(
        root=str(place / "fleet"),
        owner=USER,
        group=GROUP,
        admin=USER,
        admin_group=GROUP,
        daemons_dir=str(place / "LaunchDaemons"),
        sudoers_dir=str(place / "sudoers.d"),
    )


def sha(content: bytes) -> Blob:
    return Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=len(content))


def a_tar(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@dataclass
class Release:
    """A desired state under construction, with the bytes that it needs."""

    layout: NodeLayout
    items: list[Item] = field(default_factory=list)
    gates: list[object] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)

    def blob(self, content: bytes) -> Blob:
        blob = sha(content)
        self.contents[blob.digest] = content
        return blob

    def directory(self, path: str, mode: int = 0o755) -> Release:
        self.items.append(Directory(task="t", path=path, mode=mode, owner=USER, group=GROUP))
        return self

    def file(self, path: str, text: str, mode: int = 0o644) -> Release:
        self.items.append(File(task="t", path=path, blob=self.blob(text.encode()), mode=mode, owner=USER, group=GROUP))
        return self

    def tree(self, name: str, files: dict[str, bytes]) -> Release:
        archive = a_tar(files)
        digest = hashlib.sha256(archive).hexdigest()
        path = self.layout.env(digest)
        self.items.append(Tree(task="t", role="env", name=name, path=path, archive=self.blob(archive)))
        return self

    def add(self, item: Item) -> Release:
        self.items.append(item)
        return self

    def daemon(self, service: str, *words: str, program: str = "/bin/sh", **fields: object) -> Release:
        label = self.layout.label(service)
        plist = plistlib.dumps({"Label": label, "ProgramArguments": [program, *words], "KeepAlive": True})
        item = Daemon(
            task="t",
            label=label,
            service=service,
            plist=self.blob(plist),
            user=USER,
            group=GROUP,
            program=program,
            exit_timeout_seconds=5,
            logs=(self.layout.log(f"{service}.log"),),
        )
        self.items.append(replace(item, **fields))  # type: ignore[arg-type]
        return self

    @property
    def state(self) -> DesiredState:
        return DesiredState(
            node="mini-1",
            layout=self.layout,
            interpreter="/usr/bin/true",
            items=tuple(self.items),
            gates=tuple(self.gates),  # type: ignore[arg-type]
        )


def adopted(place: Path) -> Node:
    """A node whose apply job is in place: launchd runs it to its end when it is kicked, and once at a time."""
    node = Node(place)
    at_work: list[bool] = []

    def job() -> None:
        if not at_work:
            at_work.append(True)
            try:
                apply(node.machine)
            finally:
                at_work.clear()

    label = node.layout.apply_label
    Path(node.layout.plist(label)).write_bytes(plistlib.dumps({"Label": label, "ProgramArguments": ["/bin/sh"]}))
    node.mac.errands[label] = job
    node.mac.run(("/bin/launchctl", "bootstrap", "system", node.layout.plist(label)))
    node.mac.typed.clear()
    return node


class Node:
    """One adopted node over a fake Mac."""

    def __init__(self, place: Path) -> None:
        self.layout = a_layout(place)
        for folder in ("state", "runs", "releases", "blobs", "sync"):
            (place / "fleet" / folder).mkdir(parents=True)
        for folder in (self.layout.daemons_dir, self.layout.sudoers_dir):
            Path(folder).mkdir()
        self.clock = FakeClock()
        self.mac = FakeMac(self.clock)
        self.machine = Machine(layout=self.layout, disk=Disk(), host=self.mac, clock=self.clock)
        self._runs = 0

    def release(self) -> Release:
        return Release(self.layout)

    def watch(self, release: Release) -> None:
        """Let the processes of the release's daemons read what they depend on, and hold their ports."""
        for item in release.state.daemons:
            self.mac.watched[item.label] = [*item.inputs, *item.reload]
            named = b"--port=" in release.contents[item.plist.digest]
            self.mac.ports[item.label] = [] if named else list(item.ports)

    def plan(self, release: Release) -> tuple[Step, ...]:
        previous = releases.load(self.machine, releases.current_id(self.machine))
        return steps(release.state, observe(self.machine, release.state, previous), previous)

    def stage(self, release: Release) -> None:
        for digest, content in release.contents.items():
            Path(self.layout.blob(digest.split(":")[1])).write_bytes(content)
        Stage(machine=self.machine, state=release.state).run()

    def request(self, release: Release) -> str:
        self._runs += 1
        run_id = f"run-{self._runs}"
        hand_over(
            self.machine,
            RunRequest(
                run_id=run_id,
                state_id=release.state.state_id,
                previous=releases.current_id(self.machine),
                boot_id=self.mac.sysctl["kern.bootsessionuuid"],
                requested_at_seconds=self.clock.now().timestamp(),
            ),
        )
        return run_id

    def forget_runs(self) -> None:
        """Housekeeping was here: the next run is the first again."""
        folder = Path(self.layout.root, "runs")
        shutil.rmtree(folder)
        folder.mkdir()
        self._runs = 0

    def deploy(self, release: Release) -> str | None:
        """Stage and apply; the outcome."""
        self.watch(release)
        self.stage(release)
        self.request(release)
        return apply(self.machine)

    def events(self, run: int | None = None) -> tuple[Event, ...]:
        return read_events(self.machine, f"run-{run or self._runs}")

    def end(self) -> Event:
        last = self.events()[-1]
        assert last.phase == "end", last
        return last
