"""The month that a front tells has all of its days: else nobody could say where it ends."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from policy_kit import GRAY_ROUTES, TERMS, begin

from fleet.node.gateway.policy.budgetreport import budget_report
from fleet.practice.budget import summed
from fleet.traffic.policy import Policy
from fleet.vocabulary.names import Track


async def test_every_day_of_the_month_is_told_of_the_fleet_and_of_its_tracks(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        policy = Policy(ledger_file=str(tmp_path / "ledger"), dollar=TERMS)
        running = await begin(stack, tmp_path, routes=GRAY_ROUTES, policy=policy)
        await running.ask()
        await running.ask("hard@SEC-1")
        said = budget_report(running.office.desk)
        days = round((said.month_ends_seconds - said.month_begins_seconds) / 86400)
        assert len(said.days_pico) == days
        assert said.days_pico[said.today - 1] == running.openrouter.bill.total_pico == sum(said.days_pico)
        assert [sum(same) for same in zip(*said.track_days_pico.values(), strict=True)] == list(said.days_pico)
        assert said.track_days_pico[Track.DOLLAR][said.today - 1] > 0
        assert summed([said]).today == said.today
