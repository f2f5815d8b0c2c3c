"""docs/doctor.md lists every check of doctor, in the words of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.control.actions.doctor_examine import CHECKS
from fleet.control.actions.doctor_findings import Severity

PAGE = Path(__file__).resolve().parents[2] / "docs/doctor.md"
_TABLE = re.compile(r"(?<=<!-- checks -->\n).*?(?=<!-- end of checks -->)", re.DOTALL)


def table() -> str:
    head = "| check | looks at | why it matters | source | fix |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{one.id}` | {one.title} | {one.why} | {one.source} | {one.fix} |\n".replace("\\|", "|") for one in CHECKS
    )


def test_the_page_lists_every_check_as_the_code_has_it(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text()
    if request.config.getoption("--update-goldens"):
        text = _TABLE.sub(lambda _: table(), text)
        PAGE.write_text(text)
    found = _TABLE.search(text)
    assert found is not None
    assert found[0] == table()


def test_the_page_explains_every_severity() -> None:
    assert [word for word in Severity if f"| `{word}` |" not in PAGE.read_text()] == []
