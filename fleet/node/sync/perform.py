"""Doing one step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.node.sync.before import remember
from fleet.node.sync.jobs import Jobs
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.node.sync.safety import safe_place
from fleet.node.sync.settings import change, differing, read_settings
from fleet.vocabulary.argv import quote
from fleet.vocabulary.contracts.desired import (
    Command,
    Daemon,
    Directory,
    File,
    Item,
    Pmset,
    Sysctl,
    Tree,
    WaitFor,
)
from fleet.vocabulary.contracts.sync import Step

_POLL_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Performer:
    """Does the steps toward one state. `wanted` and `before` are the items of both states by key."""

    machine: Machine
    wanted: Mapping[str, Item]
    before: Mapping[str, Item]

    def perform(self, step: Step) -> None:
        """Do it, and see that it was done. Raises Problem; an OSError becomes one that names the step."""
        item = self.wanted.get(step.key) or self.before[step.key]
        try:
            self._do(step, item)
        except OSError as error:
            raise Problem(f"{step.action} {step.key}: {os.strerror(error.errno or 0)}", detail=str(error)) from error

    def _do(self, step: Step, item: Item) -> None:
        machine = self.machine
        match item:
            case Directory():
                self._directory(step, item)
            case File():
                self._file(step, item)
            case Tree():
                if machine.disk.stat(item.path).kind != "directory":
                    raise Problem(f"{item.path} is not staged", hint="deploy again")
            case Pmset() | Sysctl():
                live = read_settings(machine, (item,))
                for name, value in differing(item, live).items():
                    remember(machine, name, was=live.get(name), made=value)
                    change(machine, name, value)
            case Command():
                self._command(item, item.argv)
            case WaitFor():
                self._wait(item)
            case Daemon():
                self._daemon(step, item)

    def undo(self, item: Command) -> None:
        """Run what undoes a command. Raises Problem."""
        self._command(item, item.undo)

    def _directory(self, step: Step, item: Directory) -> None:
        if step.action == "remove":
            self.machine.disk.remove_directory(item.path)
            return
        safe_place(self.machine, item.path)
        self.machine.disk.directory(item.path, mode=item.mode, owner=item.owner, group=item.group)

    def _file(self, step: Step, item: File) -> None:
        disk = self.machine.disk
        safe_place(self.machine, item.path)
        if disk.stat(item.path).kind == "directory":
            raise Problem(f"{item.path} is in the way: it is a directory", hint="move it away, then deploy again")
        if step.action == "remove":
            disk.remove(item.path)
            return
        parent = item.path.rsplit("/", 1)[0]
        if not disk.stat(parent).exists:
            disk.directory(parent)
        disk.copy(
            self.machine.layout.content(item.blob.hex), item.path, mode=item.mode, owner=item.owner, group=item.group
        )

    def _command(self, item: Command, words: tuple[str, ...]) -> None:
        ran = self.machine.host.run(words, timeout_seconds=item.timeout_seconds, user=item.user)
        if ran.code and item.sensitive:
            raise Problem(
                f"command {item.name!r} ended with {ran.code}", detail="it is sensitive: its output is not kept"
            )
        if ran.code:
            raise Problem(f"command {item.name!r} ended with {ran.code}: {quote(words)}", detail=ran.said)

    def _daemon(self, step: Step, item: Daemon) -> None:
        jobs = Jobs(machine=self.machine)
        older = self.before.get(item.key)
        running = older if isinstance(older, Daemon) else item
        content = self.machine.layout.content(item.plist.hex)
        plist = self.machine.layout.plist(item.label)
        kept = self.wanted.get(f"file:{plist}")  # only a baseline has one: what lay there before fleet came
        foreign = kept if isinstance(kept, File) else None
        match step.action:
            case "bootstrap":
                jobs.bootstrap(item, content)
            case "rebootstrap":
                jobs.bootout(running)
                jobs.bootstrap(item, content)
            case "restart":
                jobs.restart(item)
            case "reload":
                jobs.reload(item)
            case "cure":
                jobs.cure(item)
            case "update":
                jobs.repair(item)
            case "bootout":
                jobs.bootout(running)
                if item.key not in self.wanted:
                    if foreign is None:
                        self.machine.disk.remove(plist)
                    self.machine.disk.remove(f"{self.machine.layout.state('programs')}/{item.label}")
            case _:
                raise Problem(f"a daemon has no step {step.action!r}")
        if foreign is not None:
            self.machine.disk.own(plist, mode=foreign.mode, owner=foreign.owner, group=foreign.group)

    def _wait(self, item: WaitFor) -> None:
        clock = self.machine.clock
        deadline = clock.monotonic() + item.timeout_seconds
        while not self._came(item):
            if clock.monotonic() >= deadline:
                raise Problem(f"waited {item.timeout_seconds:g} s in vain for {item.port or item.path or item.url}")
            clock.sleep(_POLL_SECONDS)

    def _came(self, item: WaitFor) -> bool:
        host = self.machine.host
        if item.port is not None and not host.listens(item.port):
            return False
        if item.path is not None and not self.machine.disk.stat(item.path).exists:
            return False
        if item.url is not None:
            status = host.request(item.url).status
            return status is not None and 200 <= status < 300
        return True
