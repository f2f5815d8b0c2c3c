"""What separates a node from its desired state, as an ordered list of steps. Pure.

One function decides for the plan that a person reads (session) and for the run that does it (apply), forwards and
backwards: a revert is the steps toward the state before, away from the one that failed.
Order: directories, trees, files, settings, commands, daemons, waits; what is no longer wanted goes last, except that
jobs are booted out before others are bootstrapped, since they may hold their ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.node.sync.launchd import commands as launchctl_words
from fleet.node.sync.observed import Found, FoundCommand, FoundDaemon, ObservedNode
from fleet.node.sync.settings import command_words, differing
from fleet.vocabulary.contracts.desired import (
    Command,
    Daemon,
    DesiredState,
    Directory,
    File,
    Item,
    Pmset,
    Sysctl,
    Tree,
    WaitFor,
)
from fleet.vocabulary.contracts.sync import Step

_DOWN = frozenset({"not running", "spawn scheduled", "exited"})
_SPAWNED = frozenset({"bootstrap", "rebootstrap", "bootout"})


def steps(desired: DesiredState, observed: ObservedNode, previous: DesiredState | None) -> tuple[Step, ...]:
    """The steps from what was observed to `desired`, in the order in which they are done.

    `previous` is the state that the node was last brought to: it says what running processes have read, and what
    to remove. None = nothing is known of it. In a revert it is the state that failed, and `observed.touched` says
    what its run had begun.
    """
    return _Plan(desired, observed, previous).steps()


@dataclass(frozen=True)
class _Plan:
    desired: DesiredState
    observed: ObservedNode
    previous: DesiredState | None

    def steps(self) -> tuple[Step, ...]:
        trees = list(self._trees())
        made = [*self._directories(), *trees, *self._files(), *self._settings()]
        # Staging puts trees in place before the run looks again, so a tree changes by its record, not by its step.
        changed = {step.key for step in made} - {step.key for step in trees}
        changed |= self._moved_trees() | set(self.observed.touched or ())
        daemons = list(self._daemons(changed))
        changed |= {step.key for step in daemons}
        early, late = self._commands(changed)
        done = [*made, *early, *daemons, *late]
        done += self._removals()
        return (*done, *self._waits()) if done else ()

    def _before(self) -> dict[str, Item]:
        return {item.key: item for item in self.previous.items} if self.previous else {}

    def _directories(self) -> Iterator[Step]:
        for item in self.desired.items:
            if isinstance(item, Directory):
                found = self._found(item.path)
                if found.at.kind != "directory":
                    yield _step(item, "create", _in_the_way(found))
                elif reason := _owned(found, item.mode, item.owner, item.group):
                    yield _step(item, "update", reason)

    def _trees(self) -> Iterator[Step]:
        for item in self.desired.items:
            if isinstance(item, Tree) and self._found(item.path).at.kind != "directory":
                yield _step(item, "create", "")

    def _moved_trees(self) -> set[str]:
        """Trees that the node has by now, but that are new or another since the previous state."""
        before = self._before()
        if self.observed.touched is not None:
            return set()
        return {
            item.key
            for item in self.desired.items
            if isinstance(item, Tree) and not (isinstance(was := before.get(item.key), Tree) and was.path == item.path)
        }

    def _files(self) -> Iterator[Step]:
        for item in self.desired.items:
            if isinstance(item, File):
                found = self._found(item.path)
                if found.at.kind == "file" and found.same:
                    if reason := _owned(found, item.mode, item.owner, item.group):
                        yield _step(item, "update", reason)
                else:
                    yield _step(item, "update" if found.at.exists else "create", _content(found))

    def _settings(self) -> Iterator[Step]:
        live = self.observed.settings
        layout = self.desired.layout
        for item in self.desired.items:
            if not isinstance(item, Pmset | Sysctl):
                continue
            todo = differing(item, live)
            if todo:
                words = tuple(command_words(name, value) for name, value in todo.items())
                yield _step(
                    item,
                    "update",
                    "",
                    commands=tuple((layout.command(tool), *rest) for tool, *rest in words),
                    before=" ".join(f"{_plain(name)}={live.get(name, 'unknown')}" for name in todo),
                    after=" ".join(f"{_plain(name)}={value}" for name, value in todo.items()),
                )

    def _commands(self, changed: set[str]) -> tuple[list[Step], list[Step]]:
        """Commands before the daemons, and those that wait for a change of a daemon."""
        early: list[Step] = []
        late: list[Step] = []
        before = self._before()
        for item in self.desired.items:
            if not isinstance(item, Command):
                continue
            reason = self._why_run(item, before.get(item.key), changed)
            if reason:
                after_daemons = any(key.startswith("daemon:") for key in item.on_change_of)
                (late if after_daemons else early).append(
                    _step(item, "run", reason, commands=_typed(item), may=True, reverted=bool(item.undo))
                )
        return early, late

    def _why_run(self, item: Command, was: Item | None, changed: set[str]) -> str:
        found = self.observed.commands.get(item.key, FoundCommand())
        if item.creates and found.created is False:
            return f"{item.creates} is not there"
        if item.check and found.checked is False:
            return "its check fails"
        hits = [key for key in item.on_change_of if key in changed]
        if hits:
            return f"{hits[0]} changes"
        bare = not (item.creates or item.check or item.on_change_of)
        if bare and self.observed.touched is None and item != was:
            return "it has not run before" if was is None else "it is another command now"
        return ""

    def _daemons(self, changed: set[str]) -> Iterator[Step]:
        before = self._before()
        actions: list[tuple[Daemon, str, str]] = []
        for item in self.desired.daemons:
            was = before.get(item.key)
            action, reason = self._action(item, was if isinstance(was, Daemon) else None, changed)
            if action:
                actions.append((item, action, reason))
        wanted = {item.key for item in self.desired.items}
        leaving = [
            was for was in before.values() if isinstance(was, Daemon) and was.key not in wanted and self._is_there(was)
        ]
        for was in leaving:
            yield self._daemon_step(was, "bootout", "it is no longer wanted")
        handed = [
            (item, self._next_owner(item, before.get(item.key)))
            for item, act, _ in actions
            if act in ("rebootstrap", "restart")
        ]
        first = {item.key: other for item, other in handed if other}
        for item, _, _ in actions:
            if item.key in first:
                yield self._daemon_step(item, "bootout", f"its port goes to {first[item.key]}")
        for item, action, reason in actions:
            yield self._daemon_step(item, "bootstrap" if item.key in first else action, reason)

    def _action(self, item: Daemon, was: Daemon | None, changed: set[str]) -> tuple[str, str]:
        """What the job needs, and why. ('', '') when it is well."""
        found = self.observed.daemons.get(item.label, FoundDaemon())
        printed = found.printed
        replaced = self._why_rebootstrap(item, was, found)
        if printed is None:
            return "bootstrap", replaced if found.plist.at.exists and replaced else "it is not registered"
        if replaced:
            return "rebootstrap", replaced
        if not item.on_demand and (printed.pended or printed.state in _DOWN):
            why = f"its start was put off ({printed.pended})" if printed.pended else f"it is {printed.state}"
            return "cure", f"registered, but {why}"
        touched = (self.observed.touched or {}).get(item.key)
        if not item.on_demand or printed.running:
            if touched in ("restart", "reload"):
                return touched, "the failed run had made it read other files"
            if self.observed.touched is None and was is not None and was.ports != item.ports:
                return "restart", "its ports change"
            if hits := self._changed_keys(item.inputs, was.inputs if was else None, changed):
                return "restart", f"{hits[0]} changes"
            if hits := self._changed_keys(item.reload, was.reload if was else None, changed):
                return "reload", f"{hits[0]} changes"
        layout = self.desired.layout
        if reason := _owned(found.plist, 0o644, layout.admin, layout.admin_group):
            return "update", f"plist: {reason}"
        if found.disabled:
            return "update", "it is disabled, so it would not come back after a reboot"
        return "", ""

    def _why_rebootstrap(self, item: Daemon, was: Daemon | None, found: FoundDaemon) -> str:
        """Why what launchd has in memory is not the wanted job; launchd reads a plist once (FACTS section 1.3)."""
        touched = self.observed.touched
        if found.plist.at.kind != "file" or not found.plist.same:
            return "its plist is missing" if not found.plist.at.exists else "its plist changes"
        if touched is not None:
            return "the failed run had replaced it" if touched.get(item.key) in _SPAWNED else ""
        if was is None:
            return "it is not known what launchd has in memory"
        if was.plist.digest != item.plist.digest:
            return "launchd has not read its plist yet"
        if found.program_replaced:
            return f"{item.program} was replaced"
        in_memory = found.printed.arguments if found.printed else None
        if in_memory is not None and found.plist_arguments not in (None, in_memory):
            return "launchd runs it with other arguments than its plist has"
        return ""

    def _changed_keys(self, now: dict[str, str], was: dict[str, str] | None, changed: set[str]) -> list[str]:
        """What a process read and now differs: files rewritten by this plan, and digests that the record knows."""
        hits = [key for key in sorted(now) if key in changed or f"file:{key}" in changed]
        if self.observed.touched is None and was is not None:
            hits += [key for key in sorted({*now, *was}) if now.get(key) != was.get(key)]
        return hits

    def _next_owner(self, item: Daemon, was: Item | None) -> str:
        """Another wanted job that takes over a port which this one holds until now."""
        held = set(was.ports) if isinstance(was, Daemon) else set()
        for other in self.desired.daemons:
            if other.key != item.key and held & set(other.ports):
                return other.label
        return ""

    def _is_there(self, was: Daemon) -> bool:
        found = self.observed.daemons.get(was.label, FoundDaemon())
        return found.printed is not None or found.plist.at.exists

    def _daemon_step(self, item: Daemon, action: str, reason: str) -> Step:
        typed = "enable" if action == "update" else action
        return _step(item, action, reason, commands=launchctl_words(self.desired.layout, item, typed))

    def _waits(self) -> Iterator[Step]:
        for item in self.desired.items:
            if isinstance(item, WaitFor):
                yield _step(item, "wait", "")

    def _removals(self) -> Iterator[Step]:
        """Files and empty directories that only the previous state has, deepest first. Trees stay until collected."""
        wanted = {item.path for item in self.desired.items if isinstance(item, File | Directory | Tree)}
        gone = [
            item
            for item in self._before().values()
            if isinstance(item, File | Directory) and item.path not in wanted and self._found(item.path).at.exists
        ]
        for item in sorted(gone, key=lambda item: (isinstance(item, Directory), -item.path.count("/"), item.path)):
            if isinstance(item, File) and self._found(item.path).at.kind != "directory":
                yield _step(item, "remove", "it is no longer wanted")
            elif isinstance(item, Directory) and self._found(item.path).at.kind == "directory":
                yield _step(item, "remove", "it is no longer wanted; it stays while something is in it", may=True)

    def _found(self, path: str) -> Found:
        return self.observed.paths.get(path, Found())


def _step(
    item: Item,
    action: str,
    reason: str,
    *,
    commands: tuple[tuple[str, ...], ...] = (),
    may: bool = False,
    reverted: bool = True,
    before: str | None = None,
    after: str | None = None,
) -> Step:
    return Step(
        key=item.key,
        kind_of=item.kind,
        action=action,
        task=item.task,
        reason=reason,
        may=may,
        reverted=reverted,
        commands=commands,
        before=before,
        after=after,
    )


def _typed(item: Command) -> tuple[tuple[str, ...], ...]:
    """What will be typed, as far as it may be told."""
    return () if item.sensitive else (item.argv,)


def _owned(found: Found, mode: int, owner: str, group: str) -> str:
    """How mode, owner and group differ. Empty = they do not."""
    at = found.at
    parts = []
    if at.mode is not None and at.mode != mode:
        parts.append(f"mode {at.mode:04o} -> {mode:04o}")
    if (owner and at.owner not in (None, owner)) or (group and at.group not in (None, group)):
        parts.append(f"owner {at.owner}:{at.group} -> {owner or at.owner}:{group or at.group}")
    return ", ".join(parts)


def _in_the_way(found: Found) -> str:
    return f"a {found.at.kind} is in the way" if found.at.exists else ""


def _content(found: Found) -> str:
    if not found.at.exists:
        return ""
    return "its content changes" if found.at.kind == "file" else f"a {found.at.kind} is in its place"


def _plain(name: str) -> str:
    return name.split(":", 1)[1]
