"""An option that is a span of time."""

from __future__ import annotations

import click

from fleet.vocabulary.units import parse_seconds


class Span(click.ParamType[float]):
    """A span of time: 5s, 1m, 250ms."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. Fails for anything that is not a span above 0."""
        try:
            seconds = parse_seconds(value if isinstance(value, int | float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail("it must be above 0", param, ctx)
        return seconds
