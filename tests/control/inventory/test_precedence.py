"""schema default < all < group (deeper wins) < node < --set, and every candidate can be shown."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.inventory.settings import setting_names
from fleet.errors import InventoryError, UsageError
from fleet.testing.inventories import inventory_of

LADDER = """
    all:
      vars: {{{all}}}
      children:
        mlx:
          vars: {{{mlx}}}
          children:
            studios:
              vars: {{{studios}}}
              hosts:
                studio-1: {{{node}}}
"""
LEVELS = ("all", "mlx", "studios", "node", "set")


@pytest.mark.parametrize("written", [c for n in range(6) for c in itertools.combinations(LEVELS, n)])
def test_the_strongest_level_that_is_written_wins(written: tuple[str, ...]) -> None:
    ports = {level: 9000 + number for number, level in enumerate(LEVELS)}
    texts = {level: f"gateway_port: {ports[level]}" if level in written else "" for level in LEVELS}
    inventory = inventory_of(LADDER.format(**texts), *(["gateway_port=9004"] if "set" in written else []))
    wanted = ports[written[-1]] if written else 8790

    assert inventory.nodes["studio-1"].settings.gateway_port == wanted  # type: ignore[index]
    candidates = inventory.explain("studio-1", "gateway_port")
    assert [one.value for one in candidates] == [8790, *(ports[level] for level in written)]
    assert [one.value for one in candidates if one.wins] == [wanted]
    assert candidates[-1].wins


def test_explain_tells_level_source_and_place_of_each() -> None:
    texts = {"all": "ansible_port: 1", "mlx": "ssh_port: 2", "studios": "", "node": "ansible_port: '3'"}
    found = inventory_of(LADDER.format(**texts), "ssh_port=4").explain("studio-1", "ansible_port")
    assert [(str(one.level), one.source, one.place, one.spelling, one.value) for one in found] == [
        ("default", "schema default", "", "ssh_port", None),
        ("all", "all", "fleet.yml:3:24", "ansible_port", 1),
        ("group", "group mlx (depth 1)", "fleet.yml:6:24", "ssh_port", 2),
        ("node", "node studio-1", "fleet.yml:11:38", "ansible_port", 3),
        ("set", "--set", "--set ssh_port", "ssh_port", 4),
    ]


@pytest.mark.parametrize("name", setting_names())
def test_every_variable_can_be_explained_as_an_inventory_would_say_it(name: str) -> None:
    (default,) = inventory_of("all: {hosts: {mini-1: }}").explain("mini-1", name)
    assert json.loads(json.dumps(default.value)) == default.value


def test_explain_names_the_nearest_node_and_variable() -> None:
    inventory = inventory_of("all: {hosts: {mini-1: {model: x}}}")
    with pytest.raises(UsageError, match="no node is called 'mini'") as caught:
        inventory.explain("mini", "model")
    assert caught.value.hint == "did you mean `mini-1`?"
    with pytest.raises(UsageError, match="has no variable 'modle'") as caught:
        inventory.explain("mini-1", "modle")
    assert caught.value.hint == "did you mean `model`?"


TWO_PARENTS = """
    all:
      children:
        a: {{hosts: {{n: {node}}}, vars: {{v: {a}}}}}
        b: {{hosts: {{n: }}, vars: {{v: {b}}}}}
        deep: {{children: {{deeper: {{hosts: {{n: }}, vars: {{{deeper}}}}}}}}}
"""


def tie(a: str, b: str, *, node: str = "", deeper: str = "", overrides: tuple[str, ...] = ()) -> object:
    text = TWO_PARENTS.format(a=a, b=b, node=f"{{{node}}}", deeper=deeper)
    return inventory_of(text, *overrides).nodes["n"].variables["v"]  # type: ignore[index]


def test_equal_depth_with_one_value_is_fine() -> None:
    assert tie("{x: [1, 2]}", "{x: [1, 2]}") == {"x": [1, 2]}


@pytest.mark.parametrize(("a", "b"), [("1", "2"), ("1", "true"), ("1", "1.0"), ("x", "null"), ("[1, 2]", "[2, 1]")])
def test_equal_depth_with_two_values_names_both_places(a: str, b: str) -> None:
    with pytest.raises(InventoryError) as caught:
        tie(a, b)
    assert "fleet.yml:4:35" in caught.value.text
    assert "fleet.yml:5:33" in caught.value.text


def test_a_tie_is_settled_by_whatever_is_nearer() -> None:
    assert tie("1", "2", deeper="v: 3") == 3
    assert tie("1", "2", node="v: 4") == 4
    assert tie("1", "2", overrides=("v=5",)) == 5


def test_the_longest_path_is_the_depth() -> None:
    text = """
        near: {hosts: {n: }, vars: {v: near}}
        far: {children: {middle: {children: {near: }, vars: {v: middle}}}, vars: {v: far}}
    """
    inventory = inventory_of(text)
    assert inventory.groups["near"].depth == 3  # type: ignore[index]
    assert inventory.nodes["n"].groups == ("all", "far", "middle", "near")  # type: ignore[index]
    assert inventory.nodes["n"].variables["v"] == "near"  # type: ignore[index]


def test_a_null_that_is_written_beats_a_value_below_it() -> None:
    text = "all: {vars: {address: x.example}, hosts: {n: {address: null}}}"
    node = inventory_of(text).nodes["n"]  # type: ignore[index]
    assert node.settings.address is None
    assert node.address == "n"
    assert "address" not in node.variables or node.variables["address"] is None


def test_variables_hold_defaults_own_variables_and_both_spellings() -> None:
    text = "all: {vars: {ansible_user: bob, model: small}, hosts: {n: }}"
    variables = inventory_of(text).nodes["n"].variables  # type: ignore[index]
    assert variables["ssh_user"] == variables["ansible_user"] == "bob"
    assert variables["model"] == "small"
    assert variables["gateway_port"] == 8790
    assert "owner" not in variables, "a default that is null is no variable"


def test_a_set_is_read_as_yaml_and_the_last_one_wins() -> None:
    inventory = inventory_of("all: {hosts: {n: }}", "sudo=false", "v=1", "v=[a, 2]", "ansible_port=2222", "text=")
    node = inventory.nodes["n"]  # type: ignore[index]
    assert node.settings.sudo is False
    assert node.settings.ssh_port == 2222
    assert node.variables["v"] == ["a", 2]
    assert node.variables["text"] == ""


@given(st.permutations(["a", "b", "c", "d"]), st.sets(st.sampled_from(["a", "b", "c", "d"]), min_size=1))
def test_the_deepest_group_wins_in_whatever_order_groups_are_written(order: list[str], with_value: set[str]) -> None:
    """A chain a > b > c > d, its links and values written as top-level groups in any order."""
    below = {"a": "b", "b": "c", "c": "d", "d": ""}
    lines = []
    for name in order:
        children = f"children: {{{below[name]}: }}, " if below[name] else "hosts: {n: }, "
        lines.append(f"{name}: {{{children}vars: {{{f'v: {name}' if name in with_value else ''}}}}}")
    assert inventory_of("\n".join(lines)).nodes["n"].variables["v"] == max(with_value)  # type: ignore[index]
