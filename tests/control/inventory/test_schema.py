"""The JSON Schema, the guide and the settings say the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from fleet.control.inventory.project import packaged_dir
from fleet.control.inventory.reference import variables_table
from fleet.control.inventory.schema import inventory_schema
from fleet.control.inventory.settings import ANSIBLE_ALIASES, NodeSettings, describe, setting_names
from fleet.errors import InventoryError
from fleet.testing.inventories import inventory_of

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "inventory.md"
GOOD = [
    *sorted((packaged_dir() / "inventory").glob("*.yml")),
    *sorted((Path(__file__).parent / "ansible").glob("*.yml")),
]


def accepts(text: str) -> bool:
    return bool(Draft202012Validator(inventory_schema()).is_valid(yaml.safe_load(text)))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(inventory_schema())


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_what_fleet_reads_is_valid(path: Path) -> None:
    inventory_of(path.read_text())
    assert accepts(path.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "hosts: {a: }",
        "all: {hostz: {a: }}",
        "all: {hosts: [a]}",
        "all: {hosts: {a: 3}}",
        "all: {vars: [a]}",
        "all: {children: {mlx: {gateway_port: 1}}}",
        "all: {vars: {gateway_port: abc}}",
        "all: {vars: {gateway_port: 0}}",
        "all: {hosts: {a: {ansible_port: 70000}}}",
        "all: {hosts: {a: {link: telnet}}}",
        "all: {vars: {sudo: maybe}}",
        "all: {vars: {python_version: 3.12}}",
        "all: {vars: {routes: {chat: small}}}",
        "all: {vars: {routes: {chat: {model: [small]}}}}",
        "all: {vars: {routes: {chat: {models: [small], track: secret}}}}",
        "all: {vars: {upstreams: {openrouter: {}}}}",
        "all: {vars: {upstreams: {openrouter: {models: [a], works: [images]}}}}",
        "all: {vars: {gateway_timeouts: {idle: soon}}}",
        "[all]",
        "{}",
    ],
)
def test_what_the_schema_refuses_fleet_refuses(text: str) -> None:
    assert not accepts(text)
    with pytest.raises(InventoryError):
        inventory_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "all: {hosts: {a: {address: null, gateway_port: 1, mine: [1]}}, vars: null}",
        "all: {hosts: a, children: b}",
        "all: {vars: {upstreams: {openrouter: {models: {a: b, c: {asked: d}}, price: {prompt_per_million: 0.1}}}}}",
        "all: {vars: {routes: {chat: [a], law: {models: [a], track: private, timeouts: {total: 90, idle: 5m}}}}}",
        "all: {hosts: {a: {ansible_port: '22', tags: canary}}}",
        "mlx:",
    ],
)
def test_what_fleet_takes_the_schema_takes(text: str) -> None:
    inventory_of(text)
    assert accepts(text)


def test_the_schema_knows_every_variable_with_its_meaning() -> None:
    known = inventory_schema()["$defs"]["variables"]["properties"]
    assert set(known) == {*setting_names(), *ANSIBLE_ALIASES, "tags"}
    assert all(known[name]["description"] == describe(name) for name in setting_names())


def test_every_variable_has_a_meaning() -> None:
    assert [name for name in setting_names() if not describe(name)] == []
    assert msgspec.convert({}, NodeSettings) == NodeSettings()


def test_the_guide_has_the_table_of_the_code() -> None:
    text = GUIDE.read_text()
    shown = re.search(r"<!-- variables -->\n(.*?)<!-- end of variables -->", text, flags=re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == variables_table().strip()


def test_every_example_of_the_guide_is_a_good_inventory() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        assert inventory_of(example).nodes
        assert inventory_of(example).warnings == ()
