"""The runs of a project as rows for screens: read again only where something changed, the last one first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fleet.control.actions.runs import Tail, run_rows, verdict_words
from fleet.control.rollout.moves import GOOD
from fleet.control.rollout.runrecord import RunRecord, RunStore
from fleet.vocabulary.contracts.events import Outcome
from fleet.vocabulary.names import NodeName, RunId

GOING_ON, LEFT, WELL = "going on", "left", "well"


@dataclass(frozen=True)
class RunRow:
    """One run. `word` says where it stands: going on, left, well, not well."""

    record: RunRecord
    live: bool

    @property
    def run_id(self) -> RunId:
        """Its name."""
        return self.record.run_id

    @property
    def word(self) -> str:
        """Where it stands."""
        return verdict_words(self.record, live=self.live)

    @property
    def began(self) -> datetime | None:
        """When; None for a record that says no time."""
        return _time(self.record.began_at)

    @property
    def took_seconds(self) -> float | None:
        """How long it went on; None while it does, or is left."""
        began, ended = self.began, _time(self.record.ended_at or "")
        return None if began is None or ended is None else max(0.0, (ended - began).total_seconds())

    @property
    def nodes(self) -> tuple[NodeName, ...]:
        """Every node of it: those that it changes, then those that it only looked at."""
        record = self.record
        return tuple(
            dict.fromkeys(
                [*(node for batch in record.walk.batches for node in batch.nodes), *record.states, *record.outcomes]
            )
        )

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many nodes ended how."""
        found = Counter(self.record.outcomes.values())
        return {outcome: found[outcome] for outcome in Outcome if found[outcome]}

    @property
    def changed(self) -> tuple[NodeName, ...]:
        """The nodes that are other than before."""
        return tuple(node for node, outcome in self.record.outcomes.items() if outcome is Outcome.CHANGED)

    @property
    def sick(self) -> tuple[NodeName, ...]:
        """The nodes that ended, and not well."""
        return tuple(node for node, outcome in self.record.outcomes.items() if outcome not in GOOD)

    def document(self) -> dict[str, Any]:
        """What `fleet runs --json` says of it."""
        return run_rows(self.record, live=self.live)


class RunList:
    """Reads records as they change. A run that did not change is the same object."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._kept: dict[RunId, tuple[object, RunRow]] = {}

    def rows(self) -> tuple[RunRow, ...]:
        """Every run that can be read, the last one first. Total."""
        kept: dict[RunId, tuple[object, RunRow]] = {}
        for run_id, stamp in self._store.stamps():
            before = self._kept.get(run_id)
            if before is not None and before[0] == stamp and not before[1].live and before[1].record.ended_at:
                kept[run_id] = before
                continue
            record = before[1].record if before is not None and before[0] == stamp else self._store.read(run_id)
            if record is None:
                continue
            row = RunRow(record, record.ended_at is None and self._store.is_live(run_id))
            kept[run_id] = (stamp, before[1] if before is not None and before[1] == row else row)
        self._kept = kept
        return tuple(row for _, row in kept.values())

    def tail(self, run_id: RunId) -> Tail:
        """The events of one, from its first."""
        return Tail(self._store, run_id)


def last_to_change(rows: tuple[RunRow, ...], row: RunRow) -> tuple[NodeName, ...]:
    """The nodes that this run changed and none after it did: a rollback of them undoes this run, and no other."""
    later = {node for one in rows if one.run_id > row.run_id for node in one.changed}
    return tuple(node for node in row.changed if node not in later)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
