"""The page and the Markdown: whole, self-contained, and nothing of a name becomes markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from shlex import quote
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.practice.weekly.figures import Better, Figure, FileAsked, Unit
from fleet.practice.weekly.html.page import as_html
from fleet.practice.weekly.html.plots import drawn
from fleet.practice.weekly.html.svg import ticks
from fleet.practice.weekly.make import make
from fleet.practice.weekly.markdown import as_markdown, escaped
from fleet.practice.weekly.report import Line, Plot, Shape, Tone, Weekly
from fleet.practice.weekly.words import compared, percent, shown, tone_of
from tests.practice.weekly.ground import FLASH, NOW, WEEK, LedgerFront, rows, the_front, write

_VOID = {"meta", "link", "br", "hr", "img", "input"}
HOSTILE = '</style><script>alert(1)</script><img src="https://x.example/y" onerror=z>|`*[a](b)\u202e'


class Page(HTMLParser):
    """What a browser would see: tags in balance, ids, links, attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module", name="report")
def _report(tmp_path_factory: pytest.TempPathFactory) -> Weekly:
    return make(WEEK, the_front(tmp_path_factory.mktemp("weekly")), now=NOW)


@pytest.fixture(scope="module", name="hostile")
def _hostile(tmp_path_factory: pytest.TempPathFactory) -> Weekly:
    """Everything that somebody else may have named is hostile."""
    bad = replace(FLASH, model=HOSTILE, asked=HOSTILE)
    some = [*rows(WEEK.previous, {bad: 30}), *rows(WEEK, {bad: 40})]
    path = write(tmp_path_factory.mktemp("weekly") / "ledger.sqlite", some)
    return make(WEEK, LedgerFront(ledger=path, node=HOSTILE, away={HOSTILE: HOSTILE}), now=NOW)


def test_the_page_is_whole_needs_nothing_from_elsewhere_and_has_no_script(report: Weekly) -> None:
    page = Page(as_html(report))
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("href", "src")]
    assert links
    assert all(link is not None and link.startswith("#") for link in links)
    assert "url(" not in as_html(report)
    assert "@import" not in as_html(report)


def test_every_link_of_the_page_leads_somewhere(report: Weekly) -> None:
    page = Page(as_html(report))
    ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {str(attributes["href"])[1:] for tag, attributes in page.tags if tag == "a"} <= set(ids)


def test_every_plot_is_drawn_and_says_its_point_in_words(report: Weekly) -> None:
    plots = [block for section in report.sections for block in section.blocks if isinstance(block, Plot)]
    assert {plot.id for plot in plots} == {"days", "burn", "gray-share", "parts", "spans", "tool-errors"}
    assert all(plot.says for plot in plots)
    drawn = [attributes for tag, attributes in Page(as_html(report)).tags if tag == "svg"]
    assert len(drawn) == len(plots)
    assert all(str(one["aria-label"]) for one in drawn)


def test_names_become_no_markup(hostile: Weekly) -> None:
    page = as_html(hostile)
    tags = Page(page).tags
    assert not {"script", "img"} & {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert page.count("</style>") == 1
    assert "\u202e" not in page


def test_names_become_no_markdown(hostile: Weekly) -> None:
    said = as_markdown(hostile)
    outside = re.sub(r"(?s)   ```sh\n.*?\n   ```\n", "", said)
    assert "<script" not in outside.replace("\\<", "")
    assert f"fleet doctor --on {quote(HOSTILE)}".replace("\u202e", "�") in said
    assert "\u202e" not in said
    rows_ = [line for line in said.splitlines() if line.startswith("| ")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in rows_]
    assert rows_
    assert min(bars) >= 3


@given(st.text())
def test_escaped_text_is_one_line_without_bare_signs(words: str) -> None:
    found = escaped(words)
    assert "\n" not in found
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|#]", found)


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_the_marks_of_an_axis_are_few_and_reach_the_largest_value(most: float) -> None:
    found = ticks(most)
    assert found[0] == 0
    assert found[-1] >= most * (1 - 1e-9)
    assert 2 <= len(found) <= 6


_VALUES = st.none() | st.floats(min_value=0, max_value=1e9) | st.integers(min_value=0, max_value=10**15)


@given(shape=st.sampled_from(Shape), rows=st.lists(st.lists(_VALUES, min_size=5, max_size=5), max_size=9), cap=_VALUES)
def test_a_plot_of_whatever_figures_is_well_formed(
    shape: Shape, rows: list[list[int | float | None]], cap: int | float | None
) -> None:
    def figure(value: int | float | None, label: str = "x") -> Figure:
        asked = FileAsked(file="a", where="b")
        return Figure(id="a", label=label, unit=Unit.RATIO, value=value, before=value, asked=asked, asked_before=asked)

    lines = tuple(Line(name=f"<{at}>", figures=tuple(map(figure, row))) for at, row in enumerate(rows))
    heads, limits = ("a", "b", "c", "d", "e"), (figure(cap, "cap"), figure(cap, "ends at"))
    plot = Plot(id="p", caption="c", says="s", shape=shape, heads=heads, lines=lines, limits=limits)
    found = drawn(plot)
    assert ET.fromstring(found).tag.endswith("svg")
    assert "nan" not in found
    assert "inf" not in found


@pytest.mark.parametrize(
    ("unit", "now", "before", "words", "tone"),
    [
        (Unit.SECONDS, 1.04, 1.0, "= as before", None),
        (Unit.SECONDS, 1.5, 1.0, "▲ 50 %", Tone.BAD),
        (Unit.SECONDS, 0.5, 1.0, "▼ 50 %", Tone.GOOD),
        (Unit.REQUESTS, 7, 5, "▲ 40 %", None),
        (Unit.REQUESTS, 70, 50, "▲ 40 %", Tone.BAD),
        (Unit.REQUESTS, 7, 0, "new", None),
        (Unit.REQUESTS, 0, 0, "", None),
        (Unit.REQUESTS, 5, None, "", None),
        (Unit.USD, "50", "2", "▲ 25 times", Tone.BAD),
        (Unit.RANK, 5, 8, "was 8", None),
        (Unit.RANK, None, 6, "was 6", None),
        (Unit.RANK, 5, None, "new", None),
    ],
)
def test_a_figure_is_held_against_the_week_before(
    unit: Unit, now: float | str | None, before: float | str | None, words: str, tone: Tone | None
) -> None:
    asked = FileAsked(file="a", where="b")
    better = Better.NEITHER if unit is Unit.RANK else Better.LESS
    one = Figure(id="a", label="a", unit=unit, value=now, before=before, asked=asked, asked_before=asked, better=better)
    assert (compared(one), tone_of(one)) == (words, tone)


def test_markdown_says_verdicts_first_and_every_figure_with_its_unit(report: Weekly) -> None:
    said = as_markdown(report)
    assert said.startswith("# 2026-W47: 16-22 November 2026\n")
    assert said.index("**Dollar track: keep.**") < said.index("## Money")
    assert "## Next" in said


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, Unit.USD, "–"),
        ("0", Unit.USD, "0"),
        ("1940", Unit.USD, "1,940.00"),
        ("0.86231", Unit.USD, "0.86"),
        ("0.0042", Unit.USD, "0.0042"),
        ("0.0000001", Unit.USD, "1.0e-7"),
        (3_430_000_000_000, Unit.TOKENS, "3.43T"),
        (842, Unit.TOKENS, "842"),
        (0.1251, Unit.RATIO, "12.5 %"),
        (0.0004, Unit.RATIO, "0.04 %"),
        (0.0, Unit.RATIO, "0 %"),
        (1.0, Unit.RATIO, "100 %"),
        (0.7163, Unit.SECONDS, "0.716 s"),
        (218.4, Unit.SECONDS, "218 s"),
        (2620, Unit.REQUESTS, "2,620"),
        ("normal", Unit.WORD, "normal"),
    ],
)
def test_figures_are_told_short(value: int | float | str | None, unit: Unit, words: str) -> None:
    assert shown(value, unit) == words


def test_a_share_is_never_told_as_nothing_when_it_is_something() -> None:
    assert percent(0.00001) == "0.001 %"


def test_the_page_is_the_same_for_the_same_report(report: Weekly, tmp_path: Path) -> None:
    assert as_html(report) == as_html(msgspec.json.decode(msgspec.json.encode(report), type=Weekly))
