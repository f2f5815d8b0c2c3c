"""`fleet key`: who may ask the fronts. Keys are shown once; what is kept of them is a digest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console
from rich.table import Table

from fleet.cli.context import narrate, print_json, project_of
from fleet.cli.doors import json_option, show
from fleet.control.actions.clientkeys import Listed, created, digest_of_key, listed, new_text, revoked, rotated
from fleet.control.inventory.clientkeys import FILE, keys_locked, load_client_keys, write_client_keys
from fleet.errors import UsageError
from fleet.traffic.keyring import HashedKey, KeyLimits, KeyRing
from fleet.vocabulary.clock import SystemClock
from fleet.vocabulary.names import Sensitivity, Track
from fleet.vocabulary.units import parse_seconds, seconds_text

_DEPLOY = "fleet deploy brings it to the fronts, without a restart"
_LONGEST_SECONDS = 20 * 366 * 86400


class _Span(click.ParamType[int]):
    """A span of time in whole seconds: 90d, 12h."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds."""
        try:
            seconds = int(parse_seconds(value if isinstance(value, int | float) else str(value)))
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)
        if not 0 <= seconds <= _LONGEST_SECONDS:
            self.fail("a span is between nothing and twenty years", param, ctx)
        return seconds


@click.group()
def key() -> None:
    """Say who may ask the fronts, for what, and how much. keys.json in the project holds digests only: commit it."""


@key.command()
@click.argument("name")
@click.option("--person", default="", help="Whose it is.")
@click.option("--team", default="", help="The team that its use is booked to.")
@click.option("--app", default="", help="The program that shows it: ide, openclaw, ...")
@click.option("--expires", type=_Span(), metavar="SPAN", help="When it ends: 90d, 12h. Else never.")
@click.option(
    "--track",
    "tracks",
    type=click.Choice([one.value for one in Track]),
    multiple=True,
    help="Only these tracks; else all.",
)
@click.option(
    "--sensitivity", type=click.Choice([one.value for one in Sensitivity]), help="The least label of what it sends."
)
@click.option("--gray", is_flag=True, help="Its public traffic may go to the gray pool.")
@click.option("--incident", is_flag=True, help="May spend up to the ceiling while an incident is open.")
@click.option("--rpm", type=click.IntRange(min=0), metavar="N", help="Requests within any minute.")
@click.option("--tpm", type=click.IntRange(min=0), metavar="N", help="Tokens within any minute.")
@click.option("--concurrency", type=click.IntRange(min=0), metavar="N", help="Requests at once.")
@click.option("--monthly-usd", metavar="USD", help="What it may spend in a calendar month.")
@click.option("--monthly-tokens", type=click.IntRange(min=0), metavar="N", help="Tokens in a calendar month.")
@json_option
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    person: str,
    team: str,
    app: str,
    expires: int | None,
    tracks: tuple[str, ...],
    sensitivity: str | None,
    gray: bool,
    incident: bool,
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    monthly_usd: str | None,
    monthly_tokens: int | None,
    as_json: bool,
) -> None:
    """Make a key NAME. Its text goes to stdout, this once; nothing can show it again."""
    text, now = new_text(), _now()
    made = HashedKey(
        name=name,
        sha256=digest_of_key(text),
        scopes=("inference", "incident") if incident else ("inference",),
        person=person,
        team=team,
        app=app,
        sensitivity=Sensitivity(sensitivity) if sensitivity else None,
        gray=gray,
        tracks=tuple(dict.fromkeys(tracks)),
        expires_at_seconds=None if expires is None else now + expires,
        limits=KeyLimits(
            requests_per_minute=rpm,
            tokens_per_minute=tpm,
            concurrency=concurrency,
            monthly_usd=monthly_usd,
            monthly_tokens=monthly_tokens,
        ),
    )
    _change(ctx, lambda ring: created(ring, made))
    _hand_out(text.reveal(), name, as_json=as_json)
    narrate(f"{FILE} has its digest; {_DEPLOY}")


@key.command()
@click.argument("name")
@click.option(
    "--grace", type=_Span(), default="24h", show_default=True, metavar="SPAN", help="How long the old text is taken."
)
@json_option
@click.pass_context
def rotate(ctx: click.Context, name: str, grace: int, as_json: bool) -> None:
    """Give the key NAME a new text. The old one is taken for --grace longer, so that nobody is locked out."""
    text, now = new_text(), _now()
    _change(ctx, lambda ring: rotated(ring, name, digest_of_key(text), now_seconds=now, grace_seconds=grace))
    _hand_out(text.reveal(), name, as_json=as_json)
    ends = f"the old text ends {_day(now + grace)}" if grace else "the old text is taken no more"
    narrate(f"{ends}; {_DEPLOY}")


@key.command()
@click.argument("name")
@click.pass_context
def revoke(ctx: click.Context, name: str) -> None:
    """Take the key NAME back. Fronts take it until they are deployed."""
    _change(ctx, lambda ring: revoked(ring, name))
    narrate(f"{name} is gone from {FILE}; the fronts take it until `fleet deploy` has reached them")


@key.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Show every key: whose it is, what it may, when it ends. Texts cannot be shown."""
    found = listed(load_client_keys(project_of(ctx).root), now_seconds=_now())
    if as_json:
        print_json([_document(one) for one in found])
        return
    if not found:
        narrate("no keys yet: fleet key create NAME makes one; gateway_key of the inventory is taken as `clients`")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("key", "person", "team", "app", "may", "limits", "ends"):
        table.add_column(column)
    for one in found:
        newest = one.newest
        table.add_row(newest.name, newest.person, newest.team, newest.app, _may(newest), _limits(newest), _ends(one))
    show(table, Console())


def _change(ctx: click.Context, decide: Callable[[KeyRing], KeyRing]) -> None:
    root = project_of(ctx).root
    with keys_locked(root):
        write_client_keys(root, decide(load_client_keys(root)))


def _hand_out(text: str, name: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "key": text})
        return
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise UsageError(
            f"the key could not be shown ({error.strerror or error}), and nothing can show it again",
            hint=f"fleet key revoke {name}",
        ) from error


def _document(one: Listed) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(one.newest)
    del found["sha256"]
    return {**found, "also_until_seconds": one.also_until_seconds, "over": one.over}


def _may(newest: HashedKey) -> str:
    words = [", ".join(newest.tracks) or "every track"]
    if newest.gray:
        words.append("gray")
    if "incident" in newest.scopes:
        words.append("incidents")
    if newest.sensitivity is not None:
        words.append(f"at least {newest.sensitivity}")
    return "; ".join(words)


def _limits(newest: HashedKey) -> str:
    limits = newest.limits
    words = [
        f"{limits.requests_per_minute} requests/min" if limits.requests_per_minute is not None else "",
        f"{limits.tokens_per_minute} tokens/min" if limits.tokens_per_minute is not None else "",
        f"{limits.concurrency} at once" if limits.concurrency is not None else "",
        f"{limits.monthly_usd} USD/month" if limits.monthly_usd is not None else "",
        f"{limits.monthly_tokens} tokens/month" if limits.monthly_tokens is not None else "",
    ]
    return ", ".join(word for word in words if word) or "-"


def _ends(one: Listed) -> str:
    if one.over:
        return f"ended {_day(one.ends_seconds or 0)}"
    ends = "never" if one.ends_seconds is None else _day(one.ends_seconds)
    if one.also_until_seconds is None:
        return ends
    return f"{ends}; its old text in {seconds_text(one.also_until_seconds - _now())}"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _now() -> int:
    return int(SystemClock().now().timestamp())
