"""A Monday with `fleet rankings` and `fleet route`, as a person meets it. May 2026, from tests/samples/rankings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fleet.cli.main import cli
from fleet.errors import FleetError
from tests.practice.maytable import FOLDER

INVENTORY = """\
all:
  hosts: {front-1: {address: 10.0.0.1}}
  vars:
    routes:
      token-track: {models: [kimi, flash], gray: unproven}  # cheap first
      unproven: {models: [owl], track: gray, share: 0.10, folds_to: token-track}
    upstreams:
      openrouter:
        key: env:OPENROUTER_API_KEY
        models: {flash: deepseek/deepseek-v4-flash, kimi: moonshotai/kimi-k2.6, owl: openrouter/owl-alpha}
"""


class Place:
    """A project in which commands are run; what fails says its own text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "inventory" / "fleet.yml"
        self.inventory.parent.mkdir()
        self.inventory.write_text(INVENTORY)

    def run(self, *words: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["-i", str(self.inventory), *words], env={"COLUMNS": "160"})
        assert result.exception is None or isinstance(result.exception, FleetError | SystemExit), result.output
        failed = result.exception if isinstance(result.exception, FleetError) else None
        assert (failed.exit_code if failed else result.exit_code) == exit_code, failed.text if failed else result.output
        return result

    def fails(self, *words: str, exit_code: int = 2) -> str:
        error = self.run(*words, exit_code=exit_code).exception
        assert isinstance(error, FleetError)
        return error.text

    def bring(self, *weeks: str) -> None:
        for week in weeks:
            self.run("rankings", "import", str(FOLDER / f"{week}.md"), "--week", week)

    def diff(self, *words: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run("rankings", "diff", "--json", *words).stdout)
        return found

    @property
    def tickets(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "tickets").glob("*.json"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_may_after_the_week_with_kimi_makes_three_tickets_and_none_for_owl_alpha(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    shown = place.run("rankings", "diff").stdout
    assert place.tickets == ["deepseek-v4-flash-rise", "kimi-k2.6-dropout", "step-3.5-flash-entrant"]
    assert "▲ +65.7 %" in shown or "^ +65.7 %" in shown
    assert "Owl Alpha                1.15T    +29.1 %" in shown
    assert "kimi-k2.6-dropout       new  was 6th, in no rank now" in shown
    assert "Tokens are counted by each model's own tokenizer" in shown
    assert "Source: OpenRouter (openrouter.ai/rankings), as of 2026-05-24" in shown
    assert "the source prints +66 %, which agrees" in (place.folder / "tickets/deepseek-v4-flash-rise.md").read_text()


def test_the_week_alone_makes_no_ticket_from_what_is_missing(place: Place) -> None:
    place.bring("2026-W21")
    found = place.diff()
    assert place.tickets == ["deepseek-v4-flash-rise"]
    assert found["before_week"] is None
    assert "Only printed by the source: 2026-W20 is not archived" in str(found["findings"])
    place.bring("2026-W20")
    place.run("rankings", "diff", "2026-W21")
    assert len(place.tickets) == 3
    assert "Only printed" not in (place.folder / "tickets/deepseek-v4-flash-rise.md").read_text()


def test_the_same_again_changes_no_file(place: Place) -> None:
    place.bring("2026-W20", "2026-W21", "2026-W21")
    place.run("rankings", "diff")
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in place.folder.rglob("*") if path.is_file()}
    assert place.diff()["tickets"] == [
        {"id": name, "filed": "same", "state": "open"}
        for name in ("deepseek-v4-flash-rise", "step-3.5-flash-entrant", "kimi-k2.6-dropout")
    ]
    after = {path: (path.stat().st_ino, path.read_bytes()) for path in place.folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_dry_run_writes_nothing(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    assert "Nothing was written" in place.run("rankings", "diff", "--dry-run").stdout
    assert not (place.folder / "tickets").exists()


def test_a_ticket_is_proposed_applied_once_and_told(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    place.run("rankings", "diff")
    proposed = place.run("route", "propose", "deepseek-v4-flash-rise").stdout
    assert "-      token-track: {models: [kimi, flash], gray: unproven}  # cheap first\n" in proposed
    assert place.inventory.read_text() == INVENTORY
    assert "nobody is there to say yes" in place.fails("route", "apply", "deepseek-v4-flash-rise")
    assert place.inventory.read_text() == INVENTORY
    applied = place.run("route", "apply", "--yes", "deepseek-v4-flash-rise")
    assert proposed in applied.stdout
    changed = INVENTORY.replace("[kimi, flash]", "[flash, kimi]")
    assert place.inventory.read_text() == changed
    again = place.run("route", "apply", "--yes", "deepseek-v4-flash-rise")
    assert again.stdout == ""
    assert "says that already" in again.stderr
    assert place.inventory.read_text() == changed
    assert "deepseek-v4-flash-rise" not in place.run("route", "tickets").stdout
    assert "applied by" in place.run("route", "tickets", "--all").stdout


def test_a_file_that_moved_on_is_not_touched_until_it_is_proposed_anew(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    place.run("rankings", "diff")
    moved = INVENTORY + "    rack: 7\n"
    place.inventory.write_text(moved)
    text = place.fails("route", "apply", "--yes", "kimi-k2.6-dropout", exit_code=1)
    assert "is not what the proposal was made for" in text
    assert "fleet route propose kimi-k2.6-dropout" in text
    assert place.inventory.read_text() == moved
    place.run("route", "propose", "kimi-k2.6-dropout")
    place.run("route", "apply", "--yes", "kimi-k2.6-dropout")
    assert place.inventory.read_text() == moved.replace("[kimi, flash]", "[flash, kimi]")


def test_a_closed_ticket_changes_nothing_and_says_who_closed_it(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    place.run("rankings", "diff")
    assert "closed by" in place.run("route", "close", "deepseek-v4-flash-rise", "--why", "a single account").stderr
    assert "a single account" in place.fails("route", "apply", "--yes", "deepseek-v4-flash-rise")
    assert place.run("route", "close", "deepseek-v4-flash-rise", "--why", "again").stderr.endswith("nothing to do\n")
    assert place.inventory.read_text() == INVENTORY


def test_a_ticket_without_a_change_says_why(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    place.run("rankings", "diff")
    assert (
        "no archived list of models has it"
        in place.run("route", "propose", "step-3.5-flash-entrant", exit_code=1).stderr
    )
    assert "proposes no change" in place.fails("route", "apply", "--yes", "step-3.5-flash-entrant")
    assert (
        "Step 3.5 Flash is new in the top ten"
        in place.run("route", "propose", "--text", "step-3.5-flash-entrant").stdout
    )


def test_every_bad_input_is_one_helpful_message(place: Place, tmp_path: Path) -> None:
    table = str(FOLDER / "2026-W21.md")
    assert "no week is archived" in place.fails("rankings", "show")
    (tmp_path / "bare.csv").write_text("rank,model\n1,A\n")
    assert "it does not say its week" in place.fails("rankings", "import", str(tmp_path / "bare.csv"))
    assert "no such file" in place.fails("rankings", "import", "nothing.md", "--week", "2026-W21")
    odd = tmp_path / "odd.md"
    odd.write_text((FOLDER / "2026-W21.md").read_text().replace("806B", "lots"))
    result = place.run("rankings", "import", str(odd), "--week", "2026-W21", exit_code=1)
    assert "odd.md: line 11: 'lots' is no count of tokens" in result.stderr
    assert not (place.folder / "rankings").exists()
    place.run("rankings", "import", str(odd), "--week", "2026-W21", "--with-gaps")
    refused = place.fails("rankings", "import", table, "--week", "2026-W21", exit_code=1)
    assert "MiniMax M2.7: rank 8, no tokens in the archive, rank 8, 806,000,000,000 tokens in the new one" in refused
    assert "archived: 2026-W21" in place.fails("rankings", "show", "2026-W20")
    assert "in the future" in place.fails("rankings", "import", table, "--as-of", "2999-01-01")
    assert "no routing ticket" in place.fails("route", "propose", "../../etc/passwd")
    place.run("rankings", "show", "2026-W99", exit_code=2)


def test_a_page_says_its_week_and_who_says_another_is_refused(place: Place) -> None:
    table = str(FOLDER / "2026-W21.md")
    assert "2026-W21  10 models, archived" in place.run("rankings", "import", table).stdout
    said = place.fails("rankings", "import", table, "--week", "2026-W22")
    assert "it says that it is of 2026-W21, and --week says 2026-W22" in said
    assert not (place.folder / "rankings" / "2026-W22.json").exists()


def test_a_week_that_is_not_over_is_not_archived(place: Place, tmp_path: Path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("rank,model\n1,A\n")
    assert "2998-W05 is not over before 2998-02-05" in place.fails(
        "rankings", "import", str(bare), "--week", "2998-W05"
    )
    assert not (place.folder / "rankings").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00|\x9c", b"", b"| rank | model |\n|---|---|\n"])
def test_what_is_no_table_is_refused_from_stdin_as_from_a_file(place: Place, content: bytes) -> None:
    result = CliRunner().invoke(
        cli, ["-i", str(place.inventory), "rankings", "import", "-", "--week", "2026-W21"], input=content
    )
    assert isinstance(result.exception, FleetError)
    assert result.exception.text.startswith("stdin: no ")
    assert not (place.folder / "rankings").exists()


def test_without_a_key_or_an_upstream_fetch_says_what_is_missing(place: Place) -> None:
    place.inventory.write_text(INVENTORY.replace("        key: env:OPENROUTER_API_KEY\n", ""))
    assert "upstreams.openrouter has no key" in place.fails("rankings", "fetch")
    place.inventory.write_text("all: {hosts: {front-1: {}}}\n")
    assert "fleet rankings import FILE" in place.fails("rankings", "fetch")


def test_an_apply_that_died_before_its_ticket_was_written_is_finished_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.bring("2026-W20", "2026-W21")
    place.run("rankings", "diff")

    def died(folder: Path, ticket: object) -> None:
        raise FleetError("the power went")

    with monkeypatch.context() as broken:
        broken.setattr("fleet.cli.routetickets.write_ticket", died)
        assert "the power went" in place.fails("route", "apply", "--yes", "kimi-k2.6-dropout", exit_code=1)
    changed = place.inventory.read_text()
    assert changed == INVENTORY.replace("[kimi, flash]", "[flash, kimi]")
    place.run("route", "apply", "kimi-k2.6-dropout")
    assert place.inventory.read_text() == changed
    assert "applied by" in place.run("route", "tickets", "--all").stdout


@pytest.mark.parametrize("why", ["see [/docs] and [bold]", "[link=x"])
def test_a_reason_is_shown_as_it_was_written(place: Place, why: str) -> None:
    place.bring("2026-W21")
    place.run("rankings", "diff")
    place.run("route", "close", "deepseek-v4-flash-rise", "--why", why)
    assert why in place.run("route", "tickets", "--all").stdout
    assert "one line" in place.fails("route", "close", "deepseek-v4-flash-rise", "--why", "red \x1b[31m")


def test_a_change_that_was_made_by_hand_is_applied_without_a_diff(place: Place) -> None:
    place.bring("2026-W20", "2026-W21")
    place.run("rankings", "diff")
    by_hand = INVENTORY.replace("[kimi, flash]", "[flash, kimi]") + "# by hand\n"
    place.inventory.write_text(by_hand)
    assert "says that already" in place.run("route", "propose", "kimi-k2.6-dropout", exit_code=1).stderr
    assert "last in token-track: done" in place.run("route", "tickets").stdout
    assert "says that already" in place.run("route", "apply", "--yes", "kimi-k2.6-dropout").stderr
    assert place.inventory.read_text() == by_hand
    assert "kimi-k2.6-dropout" not in place.run("route", "tickets").stdout


def test_a_front_that_says_nothing_of_its_gray_models_makes_the_answer_a_partial_one(place: Place) -> None:
    in_group = "  children: {front: {hosts: {front-1: {address: 10.0.0.1, model: m}}}, mlx: {hosts: {front-1: {}}}}"
    place.inventory.write_text(INVENTORY.replace("  hosts: {front-1: {address: 10.0.0.1}}", in_group))
    place.bring("2026-W21")
    assert "not adopted yet" in place.run("rankings", "diff", "--fronts", exit_code=3).stderr
    assert place.tickets == ["deepseek-v4-flash-rise"]
