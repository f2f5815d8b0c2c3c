"""What a run leaves on the laptop."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from fleet.control.rollout.journal import Journal
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.events import Phase
from fleet.vocabulary.names import RunId


def test_a_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "runs/r1.jsonl"
    before = os.umask(0o022)
    try:
        journal = Journal(RunId("r1"), clock=FakeClock(datetime(2026, 1, 1, tzinfo=UTC)), show=print, path=path)
        journal.say(Phase.CHECK, "failed", detail="last lines of a log")
        journal.close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"last lines" in path.read_bytes()
