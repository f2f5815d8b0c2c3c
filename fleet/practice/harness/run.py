"""A run as it stands: its plan and what its lines add up to. Pure; total for lines that were cut or are foreign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from fleet.errors import UsageError
from fleet.practice.harness.results import (
    SCHEMA,
    Absent,
    Asked,
    Begun,
    Ended,
    Finished,
    Line,
    Outcome,
    RunHead,
    Settled,
    TargetHead,
    with_learned,
)

Key = tuple[str, str, int]
"""Target, prompt, repeat."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The plan and the facts. `finished` holds what was measured or given up, the newest of each."""

    head: RunHead
    finished: Mapping[Key, Finished] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    settled: Mapping[str, Settled] = field(default_factory=dict)
    ceiling_pico: int | None = None
    last_milliseconds: int | None = None
    ended: str | None = None

    @property
    def spent_pico(self) -> int:
        """What it cost at most: what was settled, and in full what was asked and never settled."""
        return sum(self.spent_at(target.name) for target in self.head.targets)

    def spent_at(self, target: str) -> int:
        """The same of one target."""
        settled = sum(one.pico for one in self.settled.values() if one.target == target)
        open_ = [one for one in self.asked.values() if one.target == target and one.id not in self.settled]
        return settled + sum(one.pico for one in open_)

    @property
    def requests(self) -> int:
        """A number above those of all requests that lines tell of."""
        return 1 + max((int(name) for name in (*self.asked, *self.settled) if name.isdecimal()), default=-1)

    @property
    def wanted(self) -> tuple[Key, ...]:
        """All that the plan asks, prompt by prompt: a run that stops early has asked every target the same."""
        head = self.head
        return tuple(
            (target.name, prompt.id, repeat)
            for repeat in range(head.repeats)
            for prompt in head.prompts
            for target in head.targets
        )

    @property
    def missing(self) -> tuple[Key, ...]:
        """What is still to be asked: all that was never measured."""
        return tuple(key for key in self.wanted if not _measured(self.finished.get(key)))

    def target(self, name: str) -> TargetHead:
        """The target of that name. Raises UsageError."""
        for target in self.head.targets:
            if target.name == name:
                return target
        known = ", ".join(target.name for target in self.head.targets)
        raise UsageError(f"the run {self.head.run} has no target {name!r}", hint=f"targets: {known}")

    def of(self, target: str) -> tuple[Finished, ...]:
        """What became of this target's prompts, in the order of the plan."""
        return tuple(self.finished[key] for key in self.wanted if key[0] == target and key in self.finished)


def run_of(head: RunHead, lines: Iterable[bytes]) -> Run:
    """The run that these lines tell of."""
    finished: dict[Key, Finished] = {}
    absent: dict[str, str] = {}
    asked: dict[str, Asked] = {}
    settled: dict[str, Settled] = {}
    ceiling: int | None = None
    last: int | None = None
    ended: str | None = None
    targets = head.targets
    for line in lines:
        told = line_of(line)
        match told:
            case Begun():
                ceiling = told.ceiling_pico
                targets = with_learned(targets, told.learned)
                absent.clear()
            case Finished():
                if not _measured(finished.get(told.key)):
                    finished[told.key] = told
            case Absent():
                absent[told.target] = told.why
            case Asked():
                asked.setdefault(told.id, told)
            case Settled():
                settled.setdefault(told.id, told)
        ended = told.why if isinstance(told, Ended) else ended if told is None else None
        last = last if told is None or isinstance(told, Settled) else told.at_milliseconds
    return Run(
        head=msgspec.structs.replace(head, targets=targets),
        finished=finished,
        absent=absent,
        asked=asked,
        settled=settled,
        ceiling_pico=ceiling,
        last_milliseconds=last,
        ended=ended,
    )


def line_of(text: bytes) -> Line | None:
    """One line; None for what was cut, or is of a later fleet."""
    try:
        return msgspec.json.decode(text, type=Line)  # type: ignore[no-any-return]  # a union has no runtime class
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def head_of(text: bytes, *, place: str) -> RunHead:
    """The plan in `run.json`. Raises UsageError when it is none, or of a later fleet."""
    try:
        head = msgspec.json.decode(text, type=RunHead)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise UsageError(f"{place} is no plan of a harness run", detail=str(problem)) from None
    if head.schema != SCHEMA:
        raise UsageError(f"{place} was written by another fleet (schema {head.schema})", hint="upgrade fleet")
    return head


def _measured(found: Finished | None) -> bool:
    return found is not None and found.outcome is not Outcome.UNMEASURED
