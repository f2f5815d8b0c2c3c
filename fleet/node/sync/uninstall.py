"""Taking fleet off a node: jobs, plists, files, the root, and at the very end the right to do so."""

from __future__ import annotations

import http.client  # noqa: F401 (as those below: loaded while they are there, for what others load only when they want it)
import plistlib  # noqa: F401 (the interpreter itself is removed)
import shutil  # noqa: F401 (as above)
import socket  # noqa: F401 (as above)
import ssl  # noqa: F401 (as above)
import traceback  # noqa: F401 (as above)
import urllib.error
import urllib.request  # noqa: F401 (as above)
from dataclasses import dataclass

from fleet.node.sync import releases
from fleet.node.sync.before import put_back
from fleet.node.sync.frames import Wire
from fleet.node.sync.jobs import Jobs
from fleet.node.sync.machine import Machine
from fleet.node.sync.pending import lock, pending_run
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.desired import Blob, Daemon, DesiredState, Directory, File
from fleet.vocabulary.contracts.sync import Done, Event, Failed
from fleet.vocabulary.launchctl import parse_list
from fleet.vocabulary.layout import FOLDERS

_KEPT = ("var", "models")
_NEEDED = ("python", "sync", "state", "sbin")
_EXIT_TIMEOUT_SECONDS = 60


@dataclass(kw_only=True)
class Uninstall:
    """One uninstall, told to one laptop. A laptop that goes away does not stop it."""

    machine: Machine
    wire: Wire
    keep_data: bool
    _seq: int = 1
    _deaf: bool = False

    def run(self) -> int:
        """Do it; the exit status. The root stays while a job could not be removed."""
        try:
            self._say_magic()
            with lock(self.machine, "uninstall", wait=False):
                active = pending_run(self.machine)
                if active is not None:
                    raise Problem("the node is busy", code="busy", detail=f"run {active} is at work")
                self._remove()
        except Problem as problem:
            self._tell(Failed(code=problem.code, title=problem.title, detail=problem.detail, hint=problem.hint))
            return 1
        except OSError as error:
            title = f"the node's disk refused: {error.strerror or error}"
            self._tell(
                Failed(code="disk", title=title, detail=str(error), hint="uninstall again: what is gone stays gone")
            )
            return 1
        self._event("end", "ok", outcome="committed")
        self._tell(Done(outcome="committed"))
        return 0

    def _remove(self) -> None:
        machine, layout, disk = self.machine, self.machine.layout, self.machine.disk
        state = releases.load(machine, releases.current_id(machine))
        daemons = self._daemons(state)
        apply = daemons.pop(layout.apply_label, None)
        for daemon in daemons.values():
            self._remove_job(daemon)
        for item in state.items if state else ():
            if isinstance(item, File) and not self._goes_with_root(item.path):
                disk.remove(item.path)
                self._event("step", "ok", key=item.key, text=f"{item.path} is removed")
        for item in reversed(state.items if state else ()):
            if isinstance(item, Directory) and not self._goes_with_root(item.path):
                disk.remove_directory(item.path)
        for item in state.items if state else ():
            if isinstance(item, File):
                self._remove_folders_above(item.path)
        for name, text in put_back(machine):
            self._event("step", "ok", key=name, text=text)
        if apply is not None:
            self._remove_job(apply)
        rights = [
            path
            for path in (f"{layout.sudoers_dir}/{name}" for name in disk.names(layout.sudoers_dir))
            if layout.helper.encode() in (disk.read(path, limit_bytes=65536) or b"").replace(b"\\", b"")
        ]
        self._remove_root()
        for path in rights:
            disk.remove(path)
            self._event("step", "ok", key=f"file:{path}", text=f"{path} is removed")

    def _daemons(self, state: DesiredState | None) -> dict[str, Daemon]:
        """Every job that is fleet's: of the live release, by its plist, or known to launchd under the prefix."""
        machine, layout = self.machine, self.machine.layout
        found = {daemon.label: daemon for daemon in (state.daemons if state else ())}
        prefix = f"{layout.label_prefix}."
        listed = parse_list(machine.command("launchctl", "list").out)
        plists = (
            name.removesuffix(".plist") for name in machine.disk.names(layout.daemons_dir) if name.endswith(".plist")
        )
        for label in sorted({*plists, *(service.label for service in listed)}):
            if label.startswith(prefix):
                found.setdefault(label, _stranger(label))
        return found

    def _remove_job(self, daemon: Daemon) -> None:
        Jobs(machine=self.machine).bootout(daemon)
        self.machine.disk.remove(self.machine.layout.plist(daemon.label))
        self._event("step", "ok", key=daemon.key, text=f"{daemon.label} is booted out, its plist removed")

    def _goes_with_root(self, path: str) -> bool:
        """Whether it lies in one of fleet's own folders, which are removed as wholes."""
        root = f"{self.machine.layout.root}/"
        return path.startswith(root) and _is_ours(path.removeprefix(root).partition("/")[0])

    def _remove_folders_above(self, path: str) -> None:
        """The empty folders below the root that were made for a file alone."""
        folder = path.rpartition("/")[0]
        while folder.startswith(f"{self.machine.layout.root}/") and not self._goes_with_root(folder):
            if not self.machine.disk.remove_directory(folder):
                return
            folder = folder.rpartition("/")[0]

    def _remove_root(self) -> None:
        """What is fleet's below the root, and the root when nothing else is in it; what a retry needs goes last."""
        layout, disk = self.machine.layout, self.machine.disk
        ours = [name for name in disk.names(layout.root) if _is_ours(name)]
        for name in sorted(ours, key=lambda name: name in _NEEDED):
            if not (self.keep_data and name in _KEPT):
                disk.remove_tree(f"{layout.root}/{name}")
        left = () if disk.remove_directory(layout.root) else disk.names(layout.root)
        text = f"{layout.root} is removed" + (f" but for {', '.join(left)}" if left else "")
        self._event("step", "ok", key=f"directory:{layout.root}", text=text)

    def _event(self, phase: str, status: str, *, key: str = "", text: str = "", outcome: str | None = None) -> None:
        at = self.machine.clock.now().timestamp()
        self._tell(Event(seq=self._seq, at_seconds=at, phase=phase, status=status, key=key, text=text, outcome=outcome))
        self._seq += 1

    def _say_magic(self) -> None:
        try:
            self.wire.greet()
        except OSError:
            self._deaf = True

    def _tell(self, frame: Event | Done | Failed) -> None:
        if self._deaf:
            return
        try:
            self.wire.send(frame)
        except OSError:
            self._deaf = True


def _is_ours(name: str) -> bool:
    """A root that somebody also uses for other things is not emptied of them."""
    return name.removesuffix(".removed") in FOLDERS or name.startswith(".adopt.")


def _stranger(label: str) -> Daemon:
    """A job of which only the label is known."""
    return Daemon(
        task="uninstall",
        label=label,
        service=label,
        plist=Blob(digest="sha256:" + "0" * 64, size=0),
        user="",
        group="",
        program="",
        exit_timeout_seconds=_EXIT_TIMEOUT_SECONDS,
    )
