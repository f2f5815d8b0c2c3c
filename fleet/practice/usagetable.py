"""Usage for machines: JSON and CSV with exact amounts, quantiles read off. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from fleet.practice.usage import Usage, quantile_of, tool_use
from fleet.vocabulary.contracts.usage import Measure, UsageBy, UsageLine
from fleet.vocabulary.money import usd
from fleet.vocabulary.spreadsheet import harmless

COUNTS = (
    *("requests", "failed", "untold", "gray", "eligible", "streamed", "prompt_tokens", "completion_tokens"),
    *("cached_tokens", "reasoning_tokens", "reasoned", "with_tools"),
)
SHARES = {"p50": 0.5, "p95": 0.95}


def record(by: Sequence[UsageBy], line: UsageLine) -> dict[str, object]:
    """A line under its names. What was not measured is None."""
    tools = tool_use(line)
    return {
        **{one.value: name for one, name in zip(by, line.names, strict=False)},
        **{name: getattr(line, name) for name in COUNTS},
        "sessions": line.sessions,
        "busy_seconds": round(line.busy_seconds, 3),
        "tool_calls_ok": tools.successes,
        "tool_calls_failed": tools.failures,
        "tools_unused": tools.unused,
        "spent_usd": f"{usd(line.spent_pico):f}",
        "reserved_usd": f"{usd(line.reserved_pico):f}",
        **{
            f"{measure.value}_{name}": _rounded(quantile_of(line, measure, share))
            for measure in Measure
            for name, share in SHARES.items()
        },
    }


def as_builtins(usage: Usage) -> dict[str, object]:
    """For JSON: amounts are exact decimal text in USD; each line has the counts of its verdicts."""
    query = usage.query
    return {
        "by": [one.value for one in query.by],
        "since_milliseconds": query.since_milliseconds,
        "until_milliseconds": query.until_milliseconds,
        "fronts": list(usage.fronts),
        "away": dict(usage.away),
        "lines": [_with_verdicts(query.by, line) for line in usage.lines],
        "total": {**_with_verdicts((), usage.total), **({"sessions": None} if query.by else {})},
    }


def as_csv(usage: Usage) -> str:
    """A line each, with a head. A spreadsheet never takes a name for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(record(usage.query.by, usage.total)), lineterminator="\n")
    writer.writeheader()
    for line in usage.lines:
        writer.writerow({name: harmless(value) for name, value in record(usage.query.by, line).items()})
    return out.getvalue()


def _with_verdicts(by: Sequence[UsageBy], line: UsageLine) -> dict[str, object]:
    return {**record(by, line), "verdicts": {verdict.value: count for verdict, count in sorted(line.verdicts.items())}}


def _rounded(value: float | None) -> float | None:
    """Three digits: a quantile is known to 2 %."""
    return None if value is None else float(f"{value:.3g}")
