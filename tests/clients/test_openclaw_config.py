"""openclaw.json: what fleet writes is what OpenClaw's own schema takes, and nothing of it is a secret."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.clients.openclaw import (
    Cost,
    OfferedModel,
    OpenClawError,
    OpenClawGateway,
    environment_line,
    openclaw_config,
    openclaw_json,
    provider,
    variables_of,
)

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "openclaw" / "2026.9.6.schema.json"
SCHEMA = jsonschema.Draft7Validator(json.loads(SAMPLE.read_text()))
MODELS = (
    OfferedModel(route="token-track", context_tokens=262144, cost=Cost(prompt=0.1, completion=0.4, cached=0.03)),
    OfferedModel(route="dollar-track", own={"reasoning": True, "input": ["text", "image"], "maxTokens": 32000}),
    OfferedModel(route="local", context_tokens=32768, cost=Cost(prompt=0, completion=0)),
)


def wanted(**fields: Any) -> OpenClawGateway:
    base: dict[str, Any] = {
        "base_url": "https://127.0.0.1:8790/v1",
        "models": MODELS,
        "workspace": "/opt/fleet/var/openclaw/workspace",
        "log_file": "/opt/fleet/var/openclaw/openclaw.log",
    }
    return OpenClawGateway(**{**base, **fields})


def refused(config: Mapping[str, Any]) -> list[str]:
    """What OpenClaw's schema says."""
    return [error.message for error in SCHEMA.iter_errors(json.loads(openclaw_json(config)))]


def test_what_is_written_is_what_openclaws_own_schema_takes() -> None:
    assert refused(openclaw_config(wanted())) == []
    assert refused(openclaw_config(wanted(primary="local", fallbacks=("token-track",), bind="tailnet"))) == []


@settings(max_examples=25)
@given(
    st.lists(
        st.builds(
            OfferedModel,
            route=st.from_regex(r"[a-z][a-z0-9/:.-]{0,20}", fullmatch=True),
            context_tokens=st.none() | st.integers(1, 2_000_000),
            cost=st.none() | st.builds(Cost, prompt=st.floats(0, 100), completion=st.floats(0, 100)),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda model: model.route,
    )
)
def test_whatever_routes_there_are_the_schema_takes_them(models: list[OfferedModel]) -> None:
    config = openclaw_config(wanted(models=models))
    assert refused(config) == []
    assert config["agents"]["defaults"]["model"]["primary"] == f"fleet/{models[0].route}"


@pytest.mark.parametrize(
    "broken",
    [
        {"settings": {"gatway": {}}},
        {"models": (OfferedModel(route="x", own={"compat": {"supportsEverything": True}}),)},
        {"models": (OfferedModel(route="x", own={"contextWindow": 0}),)},
        {"settings": {"agents": {"defaults": {"modle": "x"}}}},
    ],
)
def test_the_schema_is_strict_so_a_misspelt_key_is_seen(broken: dict[str, Any]) -> None:
    assert refused(openclaw_config(wanted(**broken))) != []


def test_its_traffic_says_who_it_is_and_keeps_a_session_together() -> None:
    entry = provider(MODELS, base_url="http://front:8790/v1")
    assert entry["headers"] == {"x-fleet-client": "openclaw"}
    assert entry["api"] == "openai-completions"
    assert all(model["compat"]["sendSessionAffinityHeaders"] for model in entry["models"])
    assert all(model["compat"]["supportsUsageInStreaming"] for model in entry["models"])
    assert "localService" not in entry


def test_what_is_not_known_is_left_to_openclaw() -> None:
    (entry,) = provider([OfferedModel(route="x")], base_url="http://front:8790/v1")["models"]
    assert {"contextWindow", "cost", "maxTokens"} & set(entry) == set()


def test_settings_are_merged_and_may_not_say_what_is_fleets() -> None:
    config = openclaw_config(
        wanted(settings={"channels": {"telegram": {"enabled": True}}, "logging": {"level": "warn"}})
    )
    assert config["channels"] == {"telegram": {"enabled": True}}
    assert config["logging"] == {"file": "/opt/fleet/var/openclaw/openclaw.log", "level": "warn"}
    for said in (
        {"gateway": {"port": 1}},
        {"gateway": {"mode": "remote"}},
        {"gateway": {"auth": {"mode": "none"}}},
        {"models": {"providers": {"fleet": {"baseUrl": "x"}}}},
    ):
        with pytest.raises(OpenClawError, match="is fleet's to say"):
            openclaw_config(wanted(settings=said))
    with pytest.raises(OpenClawError, match="localService"):
        openclaw_config(wanted(settings={"models": {"providers": {"mlx": {"localService": {}}}}}))


def test_a_route_that_is_not_offered_cannot_be_its_first() -> None:
    with pytest.raises(OpenClawError, match="'gray-pool' is no route"):
        openclaw_config(wanted(primary="gray-pool"))
    with pytest.raises(OpenClawError, match="no route that OpenClaw could ask"):
        openclaw_config(wanted(models=()))


def test_secrets_are_names_of_variables() -> None:
    config = openclaw_config(wanted(settings={"channels": {"telegram": {"botToken": "${TELEGRAM_TOKEN}"}}}))
    assert variables_of(config) == {"FLEET_GATEWAY_KEY", "OPENCLAW_GATEWAY_TOKEN", "TELEGRAM_TOKEN"}


@given(st.text(st.characters(codec="utf-8", exclude_characters="'\r\0"), max_size=40))
def test_an_environment_line_is_the_value_in_quotes(value: str) -> None:
    assert environment_line("NAME", value) == f"NAME='{value}'\n"


def test_a_value_with_all_kinds_of_quotes_cannot_be_held() -> None:
    assert environment_line("NAME", "it's") == 'NAME="it\'s"\n'
    assert environment_line("NAME", "it's \\n") == "NAME=`it's \\n`\n"
    with pytest.raises(OpenClawError, match="NAME"):
        environment_line("NAME", "'\"`")


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js here")
def test_node_reads_the_environment_file_as_it_was_meant(tmp_path: Path) -> None:
    values = {"A": "plain", "B": "it's", "C": 'a\\nb "q" #no', "D": "it's \\n ${A}", "E": "two\nlines"}
    path = tmp_path / "env"
    path.write_text("".join(environment_line(name, value) for name, value in values.items()))
    script = "console.log(JSON.stringify(process.env))"
    words = shlex.split(f"node --env-file={path} -e")
    said = subprocess.run([*words, script], capture_output=True, text=True, check=True).stdout
    assert {name: json.loads(said)[name] for name in values} == values
