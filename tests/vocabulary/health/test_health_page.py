"""The page says what the table of checks says, and the table holds together."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.vocabulary.health.check import Band, Check
from fleet.vocabulary.health.table import CHECKS
from fleet.vocabulary.units import bytes_text, seconds_text

PAGE = Path(__file__).resolve().parents[3] / "docs" / "health.md"
BEGIN, END = "<!-- checks: made from fleet/vocabulary/health/table.py -->", "<!-- end of checks -->"


def amount(value: float, unit: str) -> str:
    match unit:
        case "bytes" | "bytes/s":
            return bytes_text(int(value)) + unit.removeprefix("bytes")
        case "ratio":
            return f"{value * 100:g} %"
        case "s":
            return f"{value:g} s"
        case _:
            return f"{value:g}"


def band(one: Band | None, check: Check) -> str:
    if one is None:
        return "–"
    if not check.unit:
        return "yes"
    way, back = ("≥", "≤") if one.enter > one.leave else ("≤", "≥")
    return f"{way} {amount(one.enter, check.unit)}; ends {back} {amount(one.leave, check.unit)}"


def wait(seconds: float) -> str:
    return "at once" if not seconds else seconds_text(seconds).replace(".0 s", " s").replace("m 00s", " min")


def the_table() -> str:
    rows = ["| check | reads | warn | critical | shows after | goes after |", "|---|---|---|---|---|---|"]
    rows += [
        f"| `{one.id}` | {one.reads} | {band(one.warn, one)} | {band(one.critical, one)} "
        f"| {wait(one.visible_after_seconds)} | {wait(one.hold_down_seconds)} |"
        for one in CHECKS.values()
    ]
    rows += ["", "| check | what happens next | what to do | hidden by |", "|---|---|---|---|"]
    rows += [
        f"| `{one.id}` | {one.next} | {one.do.format(node='NODE', subject='SERVICE')} "
        f"| {', '.join(f'`{name}`' for name in one.depends_on) or '–'} |"
        for one in CHECKS.values()
    ]
    return "\n".join(rows)


def test_the_page_shows_the_checks_as_they_are(request: pytest.FixtureRequest) -> None:
    head, _, rest = PAGE.read_text().partition(BEGIN)
    shown, _, tail = rest.partition(END)
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(f"{head}{BEGIN}\n{the_table()}\n{END}{tail}")
        shown = f"\n{the_table()}\n"
    assert shown.strip() == the_table()


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
def test_a_check_holds_together(check: Check) -> None:
    """It has a level, words and advice; it depends on what comes before it; critical lies beyond warn."""
    assert check.warn or check.critical
    assert all((check.title, check.reads, check.next, check.do))
    earlier = list(CHECKS)[: list(CHECKS).index(check.id)]
    assert set(check.depends_on) <= set(earlier)
    if check.warn and check.critical:
        rises = check.warn.enter > check.warn.leave
        assert rises == (check.critical.enter > check.critical.leave)
        assert (check.critical.enter > check.warn.enter) == rises


def test_what_to_do_names_a_command_of_fleet() -> None:
    assert [check.id for check in CHECKS.values() if "fleet " not in check.do] == []
