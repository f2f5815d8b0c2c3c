"""How something was used, over all fronts: requests, breaks, tokens, spreads and verdicts on tool calls. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.practice.usage import added, quantile_of, tool_use
from fleet.traffic.gray.observed import wilson
from fleet.traffic.tools.score import FAILURES
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.usage import Measure, UsageLine, UsageReport


@dataclass(frozen=True)
class Use:
    """One upstream or model over a span of time."""

    line: UsageLine

    @property
    def broken_ratio(self) -> float | None:
        """The part that no upstream answered, or whose answer broke; None without a request."""
        return self.line.broken / self.line.requests if self.line.requests else None

    @property
    def tokens(self) -> int:
        """In and out, as far as answers told."""
        return self.line.prompt_tokens + self.line.completion_tokens

    @property
    def scored(self) -> int:
        """Tool calls with a verdict that counts."""
        found = tool_use(self.line)
        return found.successes + found.failures

    @property
    def failures(self) -> Mapping[ToolVerdict, int]:
        """Of these, what failed, the most frequent first."""
        found = [(verdict, number) for verdict, number in self.line.verdicts.items() if verdict in FAILURES and number]
        return dict(sorted(found, key=lambda one: (-one[1], one[0])))

    @property
    def tool_errors(self) -> float | None:
        """None without a scored call."""
        return tool_use(self.line).error_rate

    @property
    def tool_errors_between(self) -> tuple[float, float] | None:
        """Where that share lies, with 95 %."""
        return wilson(tool_use(self.line).failures, self.scored)

    def quantile(self, measure: Measure, share: float) -> float | None:
        """Within 2 %; None where nothing was measured."""
        return quantile_of(self.line, measure, share)


def uses_of(reports: Iterable[UsageReport]) -> dict[str, Use]:
    """By the one name that lines have, those with the most requests first; what has no name is left out."""
    lines: dict[str, list[UsageLine]] = {}
    for report in reports:
        for line in report.lines:
            if line.names and line.names[0]:
                lines.setdefault(line.names[0], []).append(line)
    found = {name: Use(added((name,), same)) for name, same in lines.items()}
    return dict(sorted(found.items(), key=lambda one: (-one[1].line.requests, one[0])))
