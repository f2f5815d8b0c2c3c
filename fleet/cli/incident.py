"""`fleet incident`: let keys with the scope spend up to the ceiling, for a while and under a name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click
import msgspec

from fleet.cli.audited import write_down
from fleet.cli.context import narrate, print_json
from fleet.cli.doors import doors, json_option, playbook_option, tell_problems, who
from fleet.control.actions.gateways import exit_code
from fleet.control.actions.graypool import fronts_among
from fleet.control.actions.incidents import Told, incidents_of, turn_incident
from fleet.errors import UsageError
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.contracts.policy_admin import IncidentRequest
from fleet.vocabulary.money import shown
from fleet.vocabulary.units import parse_seconds

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST = timedelta(days=31)


@click.group()
def incident() -> None:
    """Open and close incidents: while one is open, keys with the scope `incident` may spend between cap and ceiling."""


@incident.command("open")
@click.argument("name")
@click.option("--until", metavar="SPAN|TIME", required=True, help="8h, 2d, or 2026-11-23T08:00 (UTC). 31 days at most.")
@click.option("--by", metavar="WHO", help="Who answers for it; else you.")
@json_option
@playbook_option
@click.pass_context
def open_(ctx: click.Context, name: str, until: str, by: str | None, as_json: bool, playbook: str) -> None:
    """Open incident NAME at every front. To open it again changes its end."""
    _check(name)
    now = SystemClock().now()
    asked = IncidentRequest(name=name, open=True, until_seconds=_until(until, now).timestamp(), by=by or who())
    _turn(ctx, asked, as_json=as_json, playbook=playbook)


@incident.command()
@click.argument("name")
@json_option
@playbook_option
@click.pass_context
def close(ctx: click.Context, name: str, as_json: bool, playbook: str) -> None:
    """Close incident NAME at every front."""
    _check(name)
    _turn(ctx, IncidentRequest(name=name, open=False, by=who()), as_json=as_json, playbook=playbook)


@incident.command("list")
@json_option
@playbook_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool, playbook: str) -> None:
    """Show the incidents of the last 90 days, the newest first, and what each cost."""
    with doors(ctx, playbook) as found:
        every, errors = incidents_of(found.all, found.open)
        asked = len(fronts_among(found.all))
    tell_problems(errors)
    if as_json:
        print_json([msgspec.to_builtins(one) for one in every])
    elif every:
        for one in every:
            click.echo(_line(one))
    elif not errors:
        narrate("no incident in the last 90 days")
    ctx.exit(exit_code(asked, errors))


def _turn(ctx: click.Context, asked: IncidentRequest, *, as_json: bool, playbook: str) -> None:
    with doors(ctx, playbook) as found:
        fronts = fronts_among(found.all)
        now, errors = turn_incident(found.all, found.open, asked)
    tell_problems(errors)
    write_down(ctx, "incident", [front.name for front in fronts], errors, text=f"{asked.name} open={asked.open}")
    if as_json:
        print_json(msgspec.to_builtins(now))
    elif now is not None:
        click.echo(_line(now))
    if errors and len(errors) < len(fronts):
        narrate("the other fronts keep what they knew; run it again when they are back")
    ctx.exit(exit_code(len(fronts), errors))


def _line(one: Told) -> str:
    if one.open_at:
        state = f"● open until {_time(one.until_seconds)}"
        missing = [node for node in one.known_at if node not in one.open_at]
        state += f", not at {', '.join(missing)}" if missing else ""
    elif one.closed_seconds is not None:
        state = f"○ closed {_time(one.closed_seconds)}"
    else:
        state = f"○ ended {_time(one.until_seconds)}"
    by = f"  by {one.by}" if one.by else ""
    return f"{one.name}  {state}  opened {_time(one.opened_seconds)}{by}  spent {shown(one.spent_pico)} USD"


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of an incident", hint="letters, digits, dots and dashes: INC-7")


def _until(text: str, now: datetime) -> datetime:
    """A span from now, or a moment (UTC unless it says). Raises UsageError."""
    try:
        end = now + timedelta(seconds=parse_seconds(text))
    except (ValueError, OverflowError):
        try:
            end = datetime.fromisoformat(text)
        except ValueError:
            hint = "--until 8h, or --until 2026-11-23T08:00"
            raise UsageError(f"--until {text}: neither a span nor a moment", hint=hint) from None
        end = end if end.tzinfo is not None else end.replace(tzinfo=UTC)
    if not now < end <= now + _LONGEST:
        raise UsageError(f"--until {text}: an incident ends in the future, and within 31 days")
    return end


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
