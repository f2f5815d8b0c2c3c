"""What a check of doctor says: how bad, what was seen, why it matters, and what puts it right. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fleet.control.actions.doctor_probe import Readings
from fleet.control.inventory import Node
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.names import NodeName


class Severity(StrEnum):
    """How bad it is. `note` needs nothing done; `unknown` could not be read: neither good nor bad."""

    CRITICAL = "critical"
    WARN = "warn"
    UNKNOWN = "unknown"
    NOTE = "note"
    OK = "ok"


WORST_FIRST = tuple(Severity)
BAD = frozenset({Severity.CRITICAL, Severity.WARN})


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What puts it right. Without `commands` none can, and `words` say what a person does instead.

    `where` is who types them. `root` = on the node with sudo. `automatic` = `--fix` may run them: safe, repeatable,
    and nothing but what playbooks/provision.yml does as well.
    """

    commands: tuple[Argv, ...] = ()
    where: Literal["node", "laptop"] = "node"
    root: bool = False
    automatic: bool = False
    words: str = ""

    @property
    def command(self) -> str | None:
        """One line to paste, quoted once."""
        sudo = "sudo " if self.root else ""
        return " && ".join(sudo + argv.text for argv in self.commands) or None


@dataclass(frozen=True)
class Verdict:
    """What one check says of one thing."""

    severity: Severity
    seen: str
    remedy: Remedy | None = None


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a check decides on. The laptop asked for the node's clock between `asked_from` and `asked_to` (epoch)."""

    node: Node
    readings: Readings
    asked_from: float
    asked_to: float

    @property
    def now(self) -> float:
        """The laptop's clock when the answer came."""
        return self.asked_to

    def command(self, name: str, *words: object) -> Argv:
        """A macOS command of this node."""
        return Argv.of(self.node.settings.layout().command(name), *words)

    def unknown(self, what: str, block: str) -> Verdict:
        """It could not be read, and why."""
        return Verdict(Severity.UNKNOWN, f"{what} is not known: {self.readings.why_silent(block)}")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that doctor looks at. `judge` gives no verdict at all where it does not apply."""

    id: str
    title: str
    why: str
    source: str
    fix: str
    judge: Callable[[Situation], Iterable[Verdict]]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A verdict, with everything that a person needs. `command` is typed on the node or on the laptop (`where`).

    `steps` are what `--fix` runs as root, the words of each; there are some only when `automatic`.
    """

    id: str
    severity: Severity
    node: NodeName
    seen: str
    why: str
    command: str | None = None
    where: str | None = None
    automatic: bool = False
    advice: str = ""
    steps: tuple[tuple[str, ...], ...] = ()


def good(seen: str) -> Verdict:
    """Nothing to do."""
    return Verdict(Severity.OK, seen)


def note(seen: str, remedy: Remedy | None = None) -> Verdict:
    """Worth knowing."""
    return Verdict(Severity.NOTE, seen, remedy)


def warn(seen: str, remedy: Remedy) -> Verdict:
    """Will bite one day."""
    return Verdict(Severity.WARN, seen, remedy)


def critical(seen: str, remedy: Remedy) -> Verdict:
    """Bites now, or at the next restart."""
    return Verdict(Severity.CRITICAL, seen, remedy)


def on_node(*commands: Argv, situation: Situation, automatic: bool = False, words: str = "") -> Remedy:
    """Commands for the node, as root where fleet uses sudo there."""
    root = situation.node.settings.sudo
    return Remedy(commands=commands, root=root, automatic=automatic, words=words)


def on_laptop(*words: object, advice: str = "") -> Remedy:
    """A fleet command."""
    return Remedy(commands=(Argv.of("fleet", *words),), where="laptop", words=advice)


def by_hand(words: str) -> Remedy:
    """No command can."""
    return Remedy(words=words)
