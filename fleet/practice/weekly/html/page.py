"""The page: verdicts and what to do first, then the parts, then what every figure was asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from fleet.practice.weekly.figures import Asked, Figure, Unit
from fleet.practice.weekly.html.escape import tag, text
from fleet.practice.weekly.html.plots import drawn, key
from fleet.practice.weekly.html.style import CSS
from fleet.practice.weekly.report import Block, Line, Note, Plot, Section, Shape, Table, Tiles, Tone, Verdict, Weekly
from fleet.practice.weekly.words import compared, of, tone_of

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_SIGNS = {Tone.GOOD: "✓", Tone.WATCH: "!", Tone.BAD: "✗", Tone.UNKNOWN: "?"}
_ROUND = ("c-to", "c-from")


def as_html(report: Weekly) -> str:
    """One file. Everything that is shown is escaped, and its own policy forbids scripts and anything from elsewhere."""
    questions = Questions(report.figures())
    body = "\n".join(
        [
            _header(report),
            _todo(report),
            *(_section(section, questions) for section in report.sections),
            _missing(report),
            _questions(questions),
            _footer(report),
        ]
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(report.week)}: fleet's week</title>\n<style>{CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


class Questions:
    """The different questions of a report, numbered from 1 in the order of reading."""

    def __init__(self, figures: Iterable[Figure]) -> None:
        self._numbers: dict[str, int] = {}
        for figure in figures:
            for asked in (figure.asked, figure.asked_before):
                if asked is not None:
                    self._numbers.setdefault(_question(asked), len(self._numbers) + 1)

    def refs(self, figures: Iterable[Figure]) -> str:
        """Links to the questions of these figures."""
        found = sorted(
            {
                self._numbers[_question(asked)]
                for figure in figures
                for asked in (figure.asked, figure.asked_before)
                if asked is not None
            }
        )
        links = ", ".join(_link(first, last) for first, last in _runs(found))
        return tag("p", f"Asked: {links}", class_="refs") if links else ""

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter((number, asked) for asked, number in self._numbers.items())


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """4, 5, 6, 9 as 4 to 6 and 9 to 9."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _link(first: int, last: int) -> str:
    return f'<a href="#q{first}">Q{first}{f" to {last}" if last > first else ""}</a>'


def _question(asked: Asked) -> str:
    """What goes to the door, as JSON: many figures are read from one answer."""
    told = msgspec.to_builtins(asked)
    kept = {name: told[name] for name in ("door", "query", "file") if name in told}
    return msgspec.json.encode(kept).decode()


def _header(report: Weekly) -> str:
    year, _, week = report.week.partition("-W")
    state = "the whole week" if report.whole else "the week is not over: its days so far"
    fronts = ", ".join(report.fronts) or "none answered"
    verdicts = "".join(_verdict(one) for one in report.verdicts)
    return tag(
        "header",
        tag("p", "fleet, the weekly report", class_="eyebrow")
        + tag("h1", f"Week {text(week.lstrip('0'))}, {text(year)}")
        + tag("p", f"{text(report.days)} (UTC) · {text(state)} · fronts: {text(fronts)}")
        + _away(report)
        + (tag("ul", verdicts, class_="verdicts") if verdicts else ""),
    )


def _away(report: Weekly) -> str:
    if not report.away:
        return ""
    names = text(", ".join(report.away))
    return tag("p", f"<strong>{names} did not answer.</strong> Every sum below lacks its part.", class_="away")


def _verdict(one: Verdict) -> str:
    word = (
        f'<span aria-hidden="true" style="color:inherit;font-size:inherit">{_SIGNS[one.tone]}</span> {text(one.word)}'
    )
    inside = tag("span", text(one.subject)) + tag("b", word) + tag("p", text(one.why))
    return tag("li", inside, class_=f"verdict {one.tone.value}")


def _todo(report: Weekly) -> str:
    items = "".join(
        tag(
            "li",
            f"{tag('b', text(action.what))}. {tag('span', text(action.why))}"
            + (tag("code", text("\n".join(action.commands))) if action.commands else ""),
        )
        for action in report.actions
    )
    inside = tag("ol", items, class_="todo") if items else tag("p", "Nothing to do.", class_="lead")
    return tag("section", tag("h2", "Next") + tag("div", inside, class_="card"), class_="part", id="next")


def _section(section: Section, questions: Questions) -> str:
    plots = sum(isinstance(block, Plot) for block in section.blocks)
    blocks = "\n".join(
        _block(block, questions, alone=plots % 2 == 1 and _last_plot(section, block)) for block in section.blocks
    )
    return tag(
        "section",
        tag("h2", text(section.title))
        + tag("p", text(section.lead), class_="lead")
        + (tag("div", blocks, class_="blocks") if blocks else ""),
        class_="part",
        id=section.id,
    )


def _last_plot(section: Section, block: Block) -> bool:
    return [one for one in section.blocks if isinstance(one, Plot)][-1:] == [block]


def _block(block: Block, questions: Questions, *, alone: bool) -> str:
    match block:
        case Tiles():
            return _tiles(block, questions)
        case Table():
            return _table(block, questions)
        case Plot():
            return _plot(block, questions, alone=alone)
        case Note():
            items = "".join(tag("li", text(item)) for item in block.items)
            return tag("div", tag("ul", items, class_="notes"), class_="card")


def _tiles(block: Tiles, questions: Questions) -> str:
    return tag("div", tag("dl", "".join(map(_tile, block.figures)), class_="tiles") + questions.refs(block.figures))


def _tile(figure: Figure) -> str:
    unit = tag("small", "USD") if figure.unit is Unit.USD and figure.value is not None else ""
    said = tag("dd", text(of(figure)) + unit)
    return tag("div", tag("dt", text(figure.label)) + said + _compared(figure, beside=" on the week"), class_="tile")


def _compared(figure: Figure, *, beside: str = "") -> str:
    words = compared(figure)
    if not words:
        return ""
    tone = tone_of(figure)
    look = "cmp" if tone is None else f"cmp {tone.value}"
    return tag("span", text(words + (beside if words[0] in "▲▼" else "")), class_=look)


def _table(block: Table, questions: Questions) -> str:
    heads = "".join(tag("th", text(head), scope="col") for head in (block.of, *block.heads))
    rows = "".join(_row(block, line) for line in block.lines)
    table = tag("table", tag("thead", tag("tr", heads)) + tag("tbody", rows))
    figures = [figure for line in block.lines for figure in line.figures]
    inside = tag("h3", text(block.caption)) + tag("div", table, class_="scroll") + questions.refs(figures)
    return tag("div", inside, class_="card")


def _row(block: Table, line: Line) -> str:
    beside = tag("small", text(line.tag)) if line.tag and line.tag != line.name else ""
    cells = "".join(
        tag("td", text(of(figure)) + _compared(figure), data_of=head)
        for head, figure in zip(block.heads, line.figures, strict=False)
    )
    return tag("tr", tag("th", text(line.name) + beside, scope="row") + cells)


def _plot(plot: Plot, questions: Questions, *, alone: bool) -> str:
    marks = "".join(
        tag(
            "li",
            f'<i class="{look}{" dot" if look in _ROUND else ""}{" rule" if look == "c-cap" else ""}"></i>{text(word)}',
        )
        for look, word in key(plot)
    )
    figures = [*(figure for line in plot.lines for figure in line.figures), *plot.limits]
    inside = (
        tag("h3", text(plot.caption))
        + (tag("ul", marks, class_="key") if marks else "")
        + drawn(plot)
        + (tag("p", text(plot.says)) if plot.says else "")
        + questions.refs(figures)
    )
    whole = alone or plot.shape is Shape.METER
    return tag("figure", inside, class_="card plot alone" if whole else "card plot")


def _missing(report: Weekly) -> str:
    if not report.unmeasured:
        return ""
    items = "".join(tag("dt", text(one.what)) + tag("dd", text(one.why)) for one in report.unmeasured)
    inside = tag("h2", "Not measured") + tag("p", "What is missing here, and why.", class_="lead")
    return tag("section", inside + tag("div", tag("dl", items, class_="missing"), class_="card"), class_="part")


def _questions(questions: Questions) -> str:
    items = "".join(tag("li", tag("code", text(asked)), id=f"q{number}") for number, asked in questions)
    why = (
        "Every figure is the answer of the fronts to one of these questions; which line of it is in report.json. "
        "fleet weekly --check asks all of them again."
    )
    return tag("details", tag("summary", "The questions behind the figures") + tag("p", why) + tag("ol", items))


def _footer(report: Weekly) -> str:
    return tag("footer", f"Made at {text(report.made_at)} by fleet {text(report.fleet_version)}. No prompt was read.")
