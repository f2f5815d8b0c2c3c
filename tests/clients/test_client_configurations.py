"""What is printed for each client is what that client reads, and no key is in it (goldens/, --update-goldens)."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from fleet.cli.main import cli
from fleet.clients.configuration import KEY_VARIABLE, NoWay, Offer
from fleet.clients.registry import CLIENTS
from fleet.errors import FleetError

GOLDENS = Path(__file__).parent / "goldens"
SAMPLES = Path(__file__).parents[1] / "samples"
OFFER = Offer(
    url="https://mini-1.lan:8790",
    model="token-track",
    small="local",
    routes=("token-track", "local", "moonshot/kimi-k2.6:free"),
    context_tokens={"token-track": 262_144, "local": 8_192},
    certificate="/home/ann/front 1.crt",
    headers={"x-fleet-repo": "acme/web", "x-fleet-sensitivity": "internal"},
)
PLAIN = Offer(url="http://127.0.0.1:8790", model='odd "name"', tls=False)
WORKING = sorted(set(CLIENTS) - {"cursor"})


def read(client: str, offer: Offer) -> dict[str, Any]:
    """The configuration as its client would parse it."""
    made = CLIENTS[client](offer)
    if client == "codex":
        return tomllib.loads(made.text)
    if client == "claude-code":
        words = [shlex.split(line)[1] for line in made.exports if line.startswith("export ")]
        return dict(word.split("=", 1) for word in words)
    return dict(json.loads(made.text)) if client in ("opencode", "openclaw") else {"yaml": yaml.safe_load(made.text)}


@pytest.mark.parametrize("client", WORKING)
def test_a_configuration_is_as_it_was_read_by_people(client: str, request: pytest.FixtureRequest) -> None:
    made = CLIENTS[client](OFFER)
    text = "\n".join((f"# {made.place}", made.text, *made.exports, *(f"# {note}" for note in made.notes), ""))
    golden = GOLDENS / f"{client}.txt"
    if request.config.getoption("--update-goldens"):
        golden.write_text(text)
    assert golden.read_text() == text


@pytest.mark.parametrize("offer", [OFFER, PLAIN], ids=["whole", "plain"])
@pytest.mark.parametrize("client", WORKING)
def test_its_client_can_parse_it_and_it_names_the_front_the_route_and_the_client(client: str, offer: Offer) -> None:
    told = json.dumps(read(client, offer), ensure_ascii=False)
    assert offer.url in told
    assert json.dumps(offer.model, ensure_ascii=False)[1:-1].replace('\\"', '"') in told.replace('\\"', '"')
    assert "x-fleet-client" in told
    assert client in told
    assert all(value in told for value in offer.headers.values())


@pytest.mark.parametrize("client", WORKING)
def test_the_key_is_a_variable_and_only_what_speaks_tls_wants_a_certificate(client: str) -> None:
    for offer, trusts in ((OFFER, True), (PLAIN, False)):
        made = CLIENTS[client](offer)
        whole = "\n".join((made.text, *made.exports, *made.notes))
        assert KEY_VARIABLE in whole
        assert ("front 1.crt" in whole) is trusts
        assert "FRONT.crt" not in whole


def test_a_model_that_cannot_take_a_first_turn_is_told_with_one_that_can() -> None:
    small = Offer(url="https://m:8790", model="local", routes=OFFER.routes, context_tokens=OFFER.context_tokens)
    for client in ("claude-code", "codex"):
        (note,) = CLIENTS[client](small).notes
        assert "local takes 8192" in note
        assert note.endswith("--model token-track")
        assert CLIENTS[client](OFFER).notes == ()


@pytest.mark.parametrize("offer", [OFFER, PLAIN], ids=["whole", "plain"])
def test_openclaws_own_schema_takes_what_is_printed_for_it(offer: Offer) -> None:
    schema = jsonschema.Draft7Validator(json.loads((SAMPLES / "openclaw" / "2026.9.6.schema.json").read_text()))
    assert [error.message for error in schema.iter_errors(json.loads(CLIENTS["openclaw"](offer).text))] == []


def test_for_cursor_there_is_no_way_and_it_says_why() -> None:
    with pytest.raises(NoWay, match="from its own servers") as none:
        CLIENTS["cursor"](OFFER)
    assert "opencode" in none.value.instead


def test_what_can_never_work_is_told_without_a_project_and_a_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(cli, ["client", "config", "cursor"]).exception
    assert isinstance(error, FleetError)
    assert "no configuration of cursor can work" in error.text
