"""The YAML reader: PyYAML's values, a place for everything, and one kind of error for all else."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.inventory.yamlsource import Positioned, msgspec_path, parse_yaml
from fleet.errors import InventoryError
from fleet.testing.inventories import inventory_of

TEXT = """\
all:
  vars: &shared
    tags: [canary, {deep: yes}]
    empty:
  hosts:
    mini-1:
      <<: *shared
      own: 010
    mini-2: *shared
"""


@pytest.fixture(scope="module")
def source() -> Positioned:
    return parse_yaml(TEXT, name="f")


@pytest.mark.parametrize(
    ("path", "value_at", "key_at"),
    [
        ((), "f:1:1", "f:1:1"),
        (("all", "vars", "tags"), "f:3:11", "f:3:5"),
        (("all", "vars", "tags", 1, "deep"), "f:3:27", "f:3:21"),
        (("all", "vars", "tags", 0), "f:3:12", "f:3:12"),
        (("all", "vars", "empty"), "f:4:5", "f:4:5"),
        (("all", "hosts", "mini-1", "own"), "f:8:12", "f:8:7"),
        (("all", "hosts", "mini-1", "tags"), "f:3:11", "f:3:5"),
        (("all", "hosts", "mini-2"), "f:9:13", "f:9:5"),
        (("all", "hosts", "mini-2", "tags", 1), "f:3:20", "f:3:20"),
        (("all", "hosts", "mini-1", "own", "no", "such"), "f:8:12", "f:8:7"),
        (("all", "hosts", "absent"), "f:6:5", "f:5:3"),
    ],
)
def test_every_value_and_key_has_its_place(
    source: Positioned, path: tuple[object, ...], value_at: str, key_at: str
) -> None:
    assert source.place(path) == value_at
    assert source.key_place(path) == key_at


def test_the_text_of_a_scalar_is_kept(source: Positioned) -> None:
    assert source.value["all"]["hosts"]["mini-1"] == {"tags": ["canary", {"deep": True}], "empty": None, "own": 8}
    assert source.raw(("all", "hosts", "mini-1", "own")) == "010"
    assert source.raw(("all", "vars", "tags", 1, "deep")) == "yes"
    assert source.raw(("all", "vars", "tags")) == ""


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("Expected `int`, got `str` - at `$.tasks[2].file.mode`", ("tasks", 2, "file", "mode")),
        ("Object contains unknown field `x` - at `$[0]`", (0,)),
        ("Expected `int`, got `str` - at `$.pmset[...].sleep`", ("pmset",)),
        ("Expected `str`, got `int` - at `key in $.settings`", ("settings",)),
        ("Expected `object`, got `array`", ()),
        ("", ()),
    ],
)
def test_a_path_of_msgspec_is_read(message: str, path: tuple[object, ...]) -> None:
    assert msgspec_path(message) == path


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""What Ansible reads with."""

_WORDS = st.sampled_from(
    ["a", "b", "all", "hosts", "vars", "children", "mini-[1:2]", "'q'", '"d"', "1", "010", "0x1f", "1:30", "no", "~",
     "1.5", "2026-01-02", "&x ", "*x", "<<", "!!str ", "!t ", "|", ">-", "#c", "é", "☃", "\x07", "=", "- ",
     ": ", ":", ", ", "[", "]", "{", "}", "\n", "\n  ", "\n    ", "\n\t", "\r\n", "---", "...", "%", "@", "?", " "]
)  # fmt: skip
_YAMLISH = st.lists(_WORDS, max_size=30).map("".join)


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return repr(one) == repr(other)


@settings(max_examples=400, deadline=None)
@given(_YAMLISH)
def test_what_is_read_is_what_pyyaml_reads(text: str) -> None:
    """Stricter, but never different: one file feeds Ansible and fleet."""
    try:
        ours = parse_yaml(text, name="f").value
    except InventoryError as problem:
        assert problem.place.startswith("f:")  # noqa: PT017 (most texts are no YAML)
        return
    assert same(ours, yaml.load(text, Loader=LOADER))


@settings(max_examples=200, deadline=None)
@given(_YAMLISH | st.text(max_size=60))
def test_any_text_is_an_inventory_or_one_error_with_a_place(text: str) -> None:
    for body in (text, f"all:\n  hosts:\n    {text}", f"all: {{vars: {{{text}}}}}"):
        try:
            inventory_of(body)
        except InventoryError as problem:
            assert problem.place.startswith("fleet.yml:")  # noqa: PT017 (most texts are no inventory)
