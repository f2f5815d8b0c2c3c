"""The report as Markdown: for a pull request, a chat, a diff against the week before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.practice.weekly.report import Block, Line, Note, Plot, Table, Tiles, Tone, Weekly
from fleet.practice.weekly.words import compared, of, visible

_SIGNS = {Tone.GOOD: "✓", Tone.WATCH: "!", Tone.BAD: "✗", Tone.UNKNOWN: "?"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def as_markdown(report: Weekly) -> str:
    """The whole report. What comes from names is escaped: a model's name makes no link and no heading."""
    return "\n".join(_lines(report)).rstrip("\n") + "\n"


def _lines(report: Weekly) -> Iterator[str]:
    yield f"# {report.week}: {report.days}"
    yield ""
    yield f"{_whole(report)} Fronts: {escaped(', '.join(report.fronts) or 'none answered')}. Made at {report.made_at}."
    if report.away:
        yield from ("", f"**Without {escaped(', '.join(report.away))}: every sum is too small.**")
    yield ""
    for verdict in report.verdicts:
        said = f"**{escaped(verdict.subject)}: {escaped(verdict.word)}.** {escaped(verdict.why)}"
        yield f"- {_SIGNS[verdict.tone]} {said}"
    for section in report.sections:
        yield from ("", f"## {escaped(section.title)}", "", escaped(section.lead))
        for block in section.blocks:
            yield ""
            yield from _block(block)
    yield from ("", "## Next", "")
    yield from (["Nothing to do."] if not report.actions else _actions(report))
    if report.unmeasured:
        yield from ("", "## Not measured", "")
        yield from (f"- **{escaped(one.what)}**: {escaped(one.why)}" for one in report.unmeasured)
    yield from ("", "The question behind every figure is in `report.json`; `fleet weekly --check` asks them again.")


def _actions(report: Weekly) -> Iterator[str]:
    for number, action in enumerate(report.actions, 1):
        yield f"{number}. **{escaped(action.what)}.** {escaped(action.why)}"
        if action.commands:
            yield ""
            yield "   ```sh"
            yield from (f"   {_one_line(command)}" for command in action.commands)
            yield "   ```"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Tiles():
            for figure in block.figures:
                yield f"- {escaped(figure.label)}: **{escaped(of(figure))}**{_beside(compared(figure))}"
        case Table():
            yield from _table(block.caption, block.of, block.heads, block.lines)
        case Plot():
            yield from _table(block.caption, "", block.heads, tuple(line for line in block.lines if line.figures))
            if block.limits:
                yield ""
                yield "; ".join(f"{escaped(figure.label)} {escaped(of(figure))}" for figure in block.limits)
            if block.says:
                yield from ("", escaped(block.says))
        case Note():
            yield from (f"- {escaped(item)}" for item in block.items)


def _table(caption: str, name: str, heads: tuple[str, ...], lines: tuple[Line, ...]) -> Iterator[str]:
    yield f"**{escaped(caption)}**"
    yield ""
    yield f"| {escaped(name)} | {' | '.join(map(escaped, heads))} |"
    yield f"| --- |{' ---: |' * len(heads)}"
    for line in lines:
        cells = [f"{escaped(of(figure))}{_beside(compared(figure))}" for figure in line.figures]
        tag = f" ({escaped(line.tag)})" if line.tag and line.tag != line.name else ""
        yield f"| {escaped(line.name)}{tag} | {' | '.join(cells)} |"


def _beside(text: str) -> str:
    return f" ({text})" if text else ""


def _whole(report: Weekly) -> str:
    return "The whole week." if report.whole else "The week is not over: figures are of its days so far."


def escaped(text: str) -> str:
    """Text that is only text."""
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())
