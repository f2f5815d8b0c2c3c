"""`--on`: which nodes an expression means."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.inventory import Inventory
from fleet.errors import UsageError
from fleet.testing.inventories import inventory_of
from fleet.vocabulary.contracts.sync import Facts
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import GIB

TEXT = """
    all:
      children:
        front: {hosts: {gw-1: }}
        mlx:
          children:
            studios: {hosts: {"studio-[1:2]": {memory_gb: 128, site: north}}}
            minis:
              hosts:
                mini-1: {tags: [canary, desk], rack: 3}
                mini-2: {tags: "canary, shelf", rack: 12}
                mini-3: {spare: true}
"""
FACTS = {
    NodeName("studio-1"): Facts(memory_bytes=64 * GIB, chip="Apple M4 Max", os_version="26.1", filevault=True),
    NodeName("mini-1"): Facts(memory_bytes=16 * GIB, chip="Apple M4", os_version="15.10.1"),
    NodeName("mini-2"): Facts(memory_bytes=24 * GIB, chip="Apple M2", os_version="15.7"),
}


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    return inventory_of(TEXT)


def chosen(inventory: Inventory, expression: str | None) -> str:
    return " ".join(node.name for node in inventory.select(expression, facts=FACTS))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        (None, "gw-1 studio-1 studio-2 mini-1 mini-2 mini-3"),
        ("all", "gw-1 studio-1 studio-2 mini-1 mini-2 mini-3"),
        ("*", "gw-1 studio-1 studio-2 mini-1 mini-2 mini-3"),
        ("mlx", "studio-1 studio-2 mini-1 mini-2 mini-3"),
        ("mini-2, gw-1", "gw-1 mini-2"),
        ("mini-*", "mini-1 mini-2 mini-3"),
        ("mini-[12]", "mini-1 mini-2"),
        ("mini-[2:3]", "mini-2 mini-3"),
        ("st*", "studio-1 studio-2"),
        ("!mlx", "gw-1"),
        ("mlx,!mini-3", "studio-1 studio-2 mini-1 mini-2"),
        ("!mini-3,mlx", "studio-1 studio-2 mini-1 mini-2"),
        ("@canary", "mini-1 mini-2"),
        ("@canary,!@desk", "mini-2"),
        ("mlx,&@canary", "mini-1 mini-2"),
        ("&minis,!@canary", "mini-3"),
        ("front,&mlx", ""),
        ("mem_gb>=64", "studio-1 studio-2"),
        ("memory_gb > 64", "studio-2"),
        ("mlx,&mem_gb<24", "mini-1"),
        ("mem_gb<=24", "mini-1 mini-2"),
        ("chip=*M4*", "studio-1 mini-1"),
        ("chip!=*M4*", "mini-2"),
        ("os_version>=15.9", "studio-1 mini-1"),
        ("os_version>=26", "studio-1"),
        ("filevault=true", "studio-1"),
        ("rack>3", "mini-2"),
        ("site=north", "studio-1 studio-2"),
        ("spare=true", "mini-3"),
        ("gateway_port=8790,&front", "gw-1"),
        ("tags=desk", "mini-1"),
        ("mlx,!mini-3,@canary,mem_gb>=64", "studio-1 studio-2 mini-1 mini-2"),
    ],
)
def test_an_expression_means_these_nodes(inventory: Inventory, expression: str | None, names: str) -> None:
    assert chosen(inventory, expression) == names


@pytest.mark.parametrize(
    ("expression", "title", "hint"),
    [
        ("minsi", "no node or group is called 'minsi'", "did you mean `minis`?"),
        ("mini-[1:5]", "no node or group is called 'mini-4'", "did you mean `mini-3`?"),
        ("mini-[5:1]", "mini-[5:1]: bad range: [5:1] runs backwards", "like mini-[1:3]"),
        ("@canari", "no node has the tag 'canari'", "did you mean `canary`?"),
        ("mem_bg>=64", "no node has a fact or variable 'mem_bg'", "did you mean `mem_gb`?"),
        ("arch=arm64", "arch is not known of any node yet", "a first plan or status asks the nodes"),
        ("mlx&minis", "no node or group is called 'mlx&minis'", "an intersection is written with a comma: mlx,&canary"),
        ("", "--on '': a term is empty", "like --on 'mlx,!mini-3'"),
        ("mlx,,minis", "--on 'mlx,,minis': a term is empty", "like --on 'mlx,!mini-3'"),
    ],
)
def test_what_means_nothing_is_said_with_the_nearest(
    inventory: Inventory, expression: str, title: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(inventory, expression)
    assert (caught.value.title, caught.value.hint) == (title, hint)


TERMS = ("front", "mlx", "studios", "minis", "mini-1", "mini-[1:2]", "@canary", "mem_gb>=64", "rack>3", "st*")


@given(
    st.lists(st.tuples(st.sampled_from(["", "!", "&"]), st.sampled_from(TERMS)), min_size=1, max_size=6), st.randoms()
)
def test_order_means_nothing_and_sets_are_sets(terms: list[tuple[str, str]], random: object) -> None:
    inventory = inventory_of(TEXT)

    def of(term: str) -> set[str]:
        return {node.name for node in inventory.select(term, facts=FACTS)}

    wanted = set().union(*(of(t) for m, t in terms if not m)) if any(not m for m, _ in terms) else of("all")
    wanted = wanted.intersection(*(of(t) for m, t in terms if m == "&"))
    wanted = wanted.difference(*(of(t) for m, t in terms if m == "!"))
    random.shuffle(terms)  # type: ignore[attr-defined]
    found = [node.name for node in inventory.select(",".join(m + t for m, t in terms), facts=FACTS)]
    assert set(found) == wanted
    assert found == [name for name in inventory.nodes if name in wanted], "in file order, each once"


@given(st.text("!&@*?[]<>=:,. -mlxini123", max_size=16))
def test_any_expression_is_nodes_or_a_usage_error(expression: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(inventory_of("all: {hosts: {mini-1: , mini-2: }}").select(expression), tuple)
