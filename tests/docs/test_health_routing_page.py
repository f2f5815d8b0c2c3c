"""The page on routing by health says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.traffic.config import Wellness
from fleet.traffic.pace import RECENT_SECONDS
from fleet.traffic.signs import Sign
from fleet.traffic.wellness import GAP, Standing
from fleet.vocabulary.units import bytes_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "operating-gateways.md").read_text()
PART = PAGE[PAGE.index("## Away from a Mac that is unwell") :].split("\n## ")[0]


def low(less: str, none: str) -> tuple[str, str, str]:
    return f"below {less}", f"below {none}", f"{GAP} times that"


def test_the_table_of_thresholds_is_that_of_the_program() -> None:
    one = Wellness()
    thresholds = {
        Sign.HEADROOM: low(bytes_text(one.headroom_less_bytes), bytes_text(one.headroom_none_bytes)),
        Sign.SWAPOUT: (
            f"from {bytes_text(int(one.swapout_less_bytes_per_second or 0))}/s",
            f"from {bytes_text(int(one.swapout_none_bytes_per_second or 0))}/s",
            f"below that divided by {GAP}",
        ),
        Sign.PACE: low(f"{one.pace_less_ratio:.0%}", f"{one.pace_none_ratio:.0%}"),
        Sign.PRESSURE: (f"from {one.pressure_less_level}", f"from {one.pressure_none_level}", "below that"),
        Sign.THERMAL: (f"from {one.thermal_less_level}", f"from {one.thermal_none_level}", "below that"),
        Sign.QUARANTINE: ("never", "always", "when it no longer has"),
    }
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PART, re.MULTILINE)
    assert {sign: cells for sign, *cells in rows} == {sign.value: list(cells) for sign, cells in thresholds.items()}


def test_the_times_and_words_of_the_text_are_those_of_the_program() -> None:
    one = Wellness()
    assert f"every {one.every_seconds:g} s" in PART
    assert f"after {one.clean_samples} good samples" in PART
    assert f"more than\n{one.stale_seconds:g} s ago" in PART
    assert f"of the last {RECENT_SECONDS:g} s" in PART
    assert [standing for standing in Standing if f"- `{standing.value}`" not in PART] == []


def test_the_reasons_of_the_header_are_the_signs() -> None:
    (row,) = re.findall(r"^\| `x-fleet-avoided` .*$", (DOCS / "clients.md").read_text(), re.MULTILINE)
    assert [sign for sign in Sign if f"`{sign.value}`" not in row] == []
