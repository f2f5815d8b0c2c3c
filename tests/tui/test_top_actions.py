"""Actions: the box says what the verb says, runs what it shows, about what is marked; read-only offers none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from textual.pilot import Pilot
from textual.widgets import Static
from tui_kit import EMPTY, MIXED, Done, top

from fleet.cli.main import cli
from fleet.cli.topactions import VERBS, VerbActions, offered, options_of
from fleet.tui.actions import Outcome, Verb, command_text
from fleet.tui.app import FleetTop
from fleet.tui.confirm import Confirm
from fleet.tui.fleet_screen import FleetScreen
from fleet.tui.palette import Verbs
from fleet.vocabulary.names import NodeName

SIZE = (110, 34)
NODES = [NodeName("mini-03"), NodeName("mini-04")]


def box(app: FleetTop, name: str) -> str:
    assert isinstance(app.screen, Confirm)
    return str(app.screen.query_one(f"#{name}", Static).content)


def told(app: FleetTop) -> list[tuple[str, str, str]]:
    return [(one.title, one.message, one.severity) for one in app._notifications]


async def settled(app: FleetTop, pilot: Pilot[None]) -> None:
    await app.workers.wait_for_complete()
    await pilot.pause()


async def test_the_box_shows_the_command_and_the_nodes_and_y_runs_exactly_that() -> None:
    done = Done()
    app, _ = top(MIXED, actions=done)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("D")
        assert box(app, "command") == "$ fleet drain mini-03 --wait 0"
        assert box(app, "about") == "mini-03  ■ CRIT  6 in flight"
        assert done.ran == []
        await pilot.press("y")
        await settled(app, pilot)
        assert done.ran == [("drain", "mini-03", "--wait", "0")]
        assert told(app)[-1] == ("fleet drain mini-03 --wait 0", "done as asked", "information")


async def test_n_and_escape_run_nothing() -> None:
    done = Done()
    app, _ = top(MIXED, actions=done)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        for answer in ("n", "escape"):
            await pilot.press("D", answer)
            assert not isinstance(app.screen, Confirm)
        await settled(app, pilot)
        assert done.ran == []


async def test_an_action_is_about_all_that_is_marked_also_where_a_filter_hides_it() -> None:
    app, _ = top(MIXED, actions=Done())
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("space", "space", "slash", *"mini-01", "enter", "U")
        assert box(app, "command") == "$ fleet resume mini-03 studio-2"


async def test_on_the_node_screen_an_action_is_about_that_node() -> None:
    app, _ = top(MIXED, actions=Done())
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("space", "down", "enter")
        await pilot.pause()
        await pilot.press("D")
        assert box(app, "command").startswith("$ fleet drain ")
        assert "mini-03" not in box(app, "command")


async def test_a_failure_is_shown_with_its_hint_and_exit_code() -> None:
    said = "nobody else can serve chat now\n  hint: --force drains all the same"
    app, _ = top(MIXED, actions=Done(Outcome(1, said)))
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("D", "y")
        await settled(app, pilot)
        assert told(app)[-1] == ("fleet drain mini-03 --wait 0: exit code 1", said, "error")


async def test_what_is_about_no_node_is_asked_for_in_the_box_and_nothing_runs_without_it() -> None:
    done = Done()
    app, _ = top(EMPTY, actions=done)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("K", "enter", "y")
        assert isinstance(app.screen, Confirm)
        await pilot.press(*"01yn", "enter")
        assert box(app, "command") == "$ fleet kill 01yn"
        await pilot.press("y")
        await settled(app, pilot)
        assert done.ran == [("kill", "01yn")]


async def test_without_a_node_there_is_nothing_to_do() -> None:
    app, _ = top(EMPTY, actions=Done())
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("D")
        assert told(app)[-1][1:] == ("drain: there is no node here", "warning")


async def test_a_verb_of_one_node_is_refused_for_two() -> None:
    done = Done()
    app, _ = top(MIXED, actions=done)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("space", "space", "exclamation_mark")
        assert told(app)[-1][1] == "ssh: one node at a time, and 2 are marked"
        assert done.ran == []


async def test_a_restart_is_about_the_node_under_the_cursor_and_waits_for_its_yes() -> None:
    done = Done()
    app, _ = top(MIXED, actions=done)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("X")
        assert box(app, "command") == "$ fleet restart mini-03"
        assert done.ran == []
        await pilot.press("y")
        await settled(app, pilot)
        assert done.ran == [("restart", "mini-03")]


async def test_a_terminal_that_cannot_be_lent_is_said() -> None:
    done = Done()
    app, _ = top(MIXED, actions=done)
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        await pilot.press("R")
        assert told(app)[-1] == ("fleet rollback mini-03", "this terminal cannot be lent", "error")
        assert done.ran == []


@pytest.mark.parametrize("reads_only", [True, False])
async def test_read_only_leaves_no_key_and_no_entry_of_the_palette(reads_only: bool) -> None:
    app, _ = top(MIXED, actions=None if reads_only else Done())
    async with app.run_test(size=SIZE) as pilot:
        app.tick()
        for opens in ((), ("enter",)):
            await pilot.press(*opens)
            await pilot.pause()
            keys = {
                key for key in app.screen.active_bindings if app.screen.active_bindings[key].binding.action[:3] == "act"
            }
            entries = list(Verbs(app.screen).entries())
            assert isinstance(app.screen, FleetScreen)
            offers = [verb for verb in VERBS if app.screen.offers(verb)]
            assert len(keys) == len(entries) == (0 if reads_only else len(offers))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.word)
@pytest.mark.parametrize("playbook", ["site.yml", "other.yml"])
def test_what_the_box_shows_is_what_the_command_line_takes_and_says(verb: Verb, playbook: str) -> None:
    """The words are parsed by the verb's own command; the text is its own help."""
    root = click.Context(cli, info_name="fleet", obj={"inventory": None, "overrides": ()})
    shown = next(one for one in offered(cli, root, playbook=playbook) if one.word == verb.word)
    words = list(shown.argv(NODES[:1] if verb.one_node else NODES, "asked"))
    command: click.Command = cli
    ctx = root
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(ctx, words)
        assert found is not None
        ctx = found.make_context(name, list(words), parent=ctx, resilient_parsing=False)
        command = found
        if isinstance(found, click.Group):
            words = [*ctx._protected_args, *ctx.args]
    values = set()
    for value in ctx.params.values():
        values |= set(value) if isinstance(value, tuple) else {value}
    if "playbook" in ctx.params and "--resume" not in verb.before:  # that run's own counts
        assert ctx.params["playbook"] == playbook
    if verb.asks:
        assert "asked" in values
    elif verb.joined:
        assert ctx.params["on"] == "mini-03,mini-04"
    else:
        assert set(NODES[:1] if verb.one_node else NODES) <= values
    said = " ".join((command.help or "").split())
    assert shown.says
    assert all(" ".join(part.split()) in said for part in shown.says.split("\n\n"))


def test_what_is_said_is_what_the_same_command_says_in_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    hosts = tmp_path / "inventory" / "hosts.yml"
    hosts.write_text("all:\n  hosts:\n    mini-03:\n")
    root = click.Context(cli, obj={"inventory": str(hosts), "overrides": ("a=1",)})
    options = options_of(root)
    assert options == ("--inventory", str(hosts), "--set", "a=1")
    words = ("drain", "mini-30", "--wait", "0")
    outcome = VerbActions(VERBS, options=options[:2]).run(words)
    typed = subprocess.run(
        [sys.executable, "-m", "fleet", *options[:2], *words], capture_output=True, text=True, check=False
    )
    assert (outcome.exit_code, outcome.text) == (typed.returncode, (typed.stdout + typed.stderr).strip())
    assert outcome.exit_code == 2
    assert command_text(words) == "fleet drain mini-30 --wait 0"
