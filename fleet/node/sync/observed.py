"""What was found on the node, as one frozen value: all that `steps` looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.node.sync.disk import PathState
from fleet.vocabulary.launchctl import PrintedService

MISSING = PathState(kind="missing")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A path, and whether its content is the wanted one (None where content is no question)."""

    at: PathState = MISSING
    same: bool | None = None


@dataclass(frozen=True, kw_only=True)
class FoundDaemon:
    """A launchd job and its plist.

    `plist_arguments` are those of the wanted plist, None when they cannot be compared with what launchd prints;
    `program_replaced`: the program file is another one than at the last bootstrap.
    """

    printed: PrintedService | None = None
    plist: Found = field(default_factory=Found)
    disabled: bool = False
    plist_arguments: tuple[str, ...] | None = None
    program_replaced: bool = False


@dataclass(frozen=True, kw_only=True)
class FoundCommand:
    """Whether what a command creates is there, and whether its check passed. None where it has none."""

    created: bool | None = None
    checked: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ObservedNode:
    """One look at the node, made for one desired state.

    `touched` is set when an unfinished run is being reverted: the action of every step that it began, by item key.
    Then processes may have seen what that run wrote, whatever the files say now.
    """

    paths: Mapping[str, Found] = field(default_factory=dict)
    daemons: Mapping[str, FoundDaemon] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, FoundCommand] = field(default_factory=dict)
    touched: Mapping[str, str] | None = None
