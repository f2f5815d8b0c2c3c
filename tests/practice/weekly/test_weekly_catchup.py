"""What a front's job does with a gateway that is not up yet, and with one that goes away in the middle."""

from pathlib import Path

import pytest

from fleet.practice.sources import Told
from fleet.practice.weekly.catchup import CaughtUp, catch_up, patiently
from fleet.practice.weekly.store import weeks_there
from fleet.testing.clock import FakeClock
from fleet.vocabulary.contracts.usage import UsageQuery, UsageReport
from tests.practice.weekly.ground import FLASH, NOW, WEEK, LedgerFront, rows, write


@pytest.fixture(scope="module", name="front")
def _front(tmp_path_factory: pytest.TempPathFactory) -> LedgerFront:
    some = [*rows(WEEK.previous, {FLASH: 6}), *rows(WEEK, {FLASH: 8})]
    return LedgerFront(ledger=write(tmp_path_factory.mktemp("weekly") / "ledger.sqlite", some))


def test_it_makes_what_is_missing_and_then_nothing(tmp_path: Path, front: LedgerFront) -> None:
    said: list[str] = []
    first = catch_up(front, tmp_path, now=NOW, most=6, told=said.append)
    assert first == CaughtUp(made=("2026-W46", "2026-W47"))
    assert [line.split(":")[0] for line in said] == ["2026-W46", "2026-W47"]
    assert catch_up(front, tmp_path, now=NOW, most=6, told=said.append) == CaughtUp()


def test_a_gateway_that_comes_up_while_it_waits_is_asked_then(tmp_path: Path, front: LedgerFront) -> None:
    fronts = [_Silent(), _Silent(), front]
    found = patiently(
        lambda: catch_up(fronts.pop(0), tmp_path, now=NOW, most=6, told=print), FakeClock(), within_seconds=60
    )
    assert fronts == []
    assert found == CaughtUp(made=("2026-W46", "2026-W47"))


def test_a_gateway_that_never_comes_up_is_a_problem_and_no_report(tmp_path: Path) -> None:
    clock = FakeClock()
    began = clock.monotonic()
    found = patiently(lambda: catch_up(_Silent(), tmp_path, now=NOW, most=6, told=print), clock, within_seconds=60)
    assert found == CaughtUp(problem="front-1: refused")
    assert 60 <= clock.monotonic() - began <= 70
    assert weeks_there(tmp_path) == ()


class _Silent(LedgerFront):
    def __init__(self) -> None:
        super().__init__(ledger=Path("none"))

    def usage(self, query: UsageQuery) -> Told[UsageReport]:
        return Told(away={"front-1": "refused"})
