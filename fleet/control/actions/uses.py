"""How something was used, over all fronts: requests, failures, tokens, spreads and verdicts on tool calls. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fleet.traffic.gray.observed import wilson
from fleet.traffic.tools.score import FAILURES, SUCCESSES
from fleet.vocabulary.contracts.ledger import ToolVerdict
from fleet.vocabulary.contracts.usage import Measure, UsageLine, UsageReport
from fleet.vocabulary.quantiles import quantile, together


@dataclass(frozen=True, kw_only=True)
class Use:
    """One upstream or model over a span of time. `untold` requests ended well and told no tokens."""

    name: str
    requests: int = 0
    failed: int = 0
    untold: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spreads: Mapping[Measure, Mapping[int, int]]
    verdicts: Mapping[ToolVerdict, int]

    @property
    def failed_ratio(self) -> float | None:
        """None without a request."""
        return self.failed / self.requests if self.requests else None

    @property
    def tokens(self) -> int:
        """In and out, as far as answers told."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def scored(self) -> int:
        """Tool calls with a verdict that counts."""
        return sum(number for verdict, number in self.verdicts.items() if verdict in FAILURES | SUCCESSES)

    @property
    def failures(self) -> Mapping[ToolVerdict, int]:
        """Of these, what failed, the most frequent first."""
        found = [(verdict, number) for verdict, number in self.verdicts.items() if verdict in FAILURES and number]
        return dict(sorted(found, key=lambda one: (-one[1], one[0])))

    @property
    def tool_errors(self) -> float | None:
        """None without a scored call."""
        return sum(self.failures.values()) / self.scored if self.scored else None

    @property
    def tool_errors_between(self) -> tuple[float, float] | None:
        """Where that share lies, with 95 %."""
        return wilson(sum(self.failures.values()), self.scored)

    def quantile(self, measure: Measure, share: float) -> float | None:
        """Within 2 %; None where nothing was measured."""
        return quantile(self.spreads.get(measure, {}), share)


def uses_of(reports: Iterable[UsageReport]) -> dict[str, Use]:
    """By the one name that lines have, those with the most requests first; what has no name is left out."""
    lines: dict[str, list[UsageLine]] = {}
    for report in reports:
        for line in report.lines:
            if line.names and line.names[0]:
                lines.setdefault(line.names[0], []).append(line)
    found = [_use(name, same) for name, same in lines.items()]
    return {one.name: one for one in sorted(found, key=lambda one: (-one.requests, one.name))}


def _use(name: str, lines: list[UsageLine]) -> Use:
    verdicts: Counter[ToolVerdict] = Counter()
    for line in lines:
        verdicts.update(line.verdicts)
    measures = {measure for line in lines for measure in line.spreads}
    return Use(
        name=name,
        requests=sum(line.requests for line in lines),
        failed=sum(line.failed for line in lines),
        untold=sum(line.untold for line in lines),
        prompt_tokens=sum(line.prompt_tokens for line in lines),
        completion_tokens=sum(line.completion_tokens for line in lines),
        spreads={one: together(line.spreads.get(one, {}) for line in lines) for one in measures},
        verdicts=dict(verdicts),
    )
