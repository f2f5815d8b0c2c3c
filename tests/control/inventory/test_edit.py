"""Pins are written into a file that a person wrote, and nothing else of it changes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.inventory.edit import pin_nodes, pinned_text
from fleet.control.inventory.insertion import quoted
from fleet.control.inventory.load import build_inventory
from fleet.control.inventory.yamlsource import parse_yaml
from fleet.errors import InventoryError, UsageError
from fleet.vocabulary.names import NodeName

CASES_FILE = Path(__file__).with_name("pin.cases")
PINS = {"host_key": "ssh-ed25519 AAAA", "edge_key": "sha256//x="}


def pin(text: str, node: str = "mini-2", values: dict[str, str] = PINS) -> str:
    return pinned_text(text, {NodeName(node): values}, name="fleet.yml")


def cases() -> list[tuple[str, str, str]]:
    found = []
    for block in CASES_FILE.read_text().split("==== ")[1:]:
        title, _, body = block.partition("\n")
        before, _, after = body.partition("----\n")
        found.append((title, before, after.removesuffix("\n")))
    return found


@pytest.mark.parametrize(("title", "before", "after"), cases(), ids=[title for title, *_ in cases()])
def test_pins_go_where_a_person_would_put_them(title: str, before: str, after: str) -> None:
    assert pin(before) == after
    assert pin(after) == after, "a second time changes nothing"


def test_line_ends_of_windows_stay() -> None:
    text = pin("all:\r\n  hosts:\r\n    mini-2:\r\n      rack: 1\r\n    mini-3:\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert '      rack: 1\r\n      host_key: "ssh-ed25519 AAAA"\r\n' in text


def test_a_file_without_a_last_line_end_stays_without() -> None:
    assert (
        pin("all:\n  hosts:\n    mini-2:", values={"host_key": "x"})
        == 'all:\n  hosts:\n    mini-2:\n      host_key: "x"'
    )


def test_a_byte_order_mark_stays() -> None:
    assert pin("\ufeffall: {hosts: {mini-2: {}}}", values={"host_key": "x"}) == (
        '\ufeffall: {hosts: {mini-2: {host_key: "x"}}}'
    )


@pytest.mark.parametrize(
    "text",
    [
        "all:\n  hosts:\n    mini-[1:2]: {host_key: shared}\n",
        "all:\n  hosts:\n    mini-2:\n      note: |\n        no line end",
        "all:\n  hosts:\n    mini-2: {host_key: &k old}\n    mini-3: {host_key: *k}\n",
    ],
)
def test_what_cannot_be_done_cleanly_is_refused_with_the_lines_to_write(text: str) -> None:
    with pytest.raises(InventoryError) as caught:
        pin(text)
    assert "yourself" in caught.value.hint
    assert "host_key: ssh-ed25519 AAAA" in caught.value.hint


def test_an_unknown_node_is_refused() -> None:
    with pytest.raises(UsageError):
        pin("all: {hosts: {mini-1: }}")


def test_the_file_is_replaced_with_its_mode_and_no_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    path.write_text("all: {hosts: {mini-2: }}\n")
    path.chmod(0o640)
    text = pin_nodes(path, {NodeName("mini-2"): {"secret_salt": "00ff"}})
    assert path.read_text() == text == 'all: {hosts: {mini-2: {secret_salt: "00ff"} }}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [child.name for child in tmp_path.iterdir()] == ["fleet.yml"]


def test_a_link_to_the_inventory_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yml").write_text("all: {hosts: {mini-2: {}}}\n")
    (tmp_path / "fleet.yml").symlink_to("real.yml")
    pin_nodes(tmp_path / "fleet.yml", {NodeName("mini-2"): {"secret_salt": "00ff"}})
    assert (tmp_path / "fleet.yml").is_symlink()
    assert "00ff" in (tmp_path / "real.yml").read_text()


@given(st.text(max_size=40))
def test_any_text_is_quoted_so_that_yaml_reads_it_back(text: str) -> None:
    if not any(0xD800 <= ord(char) <= 0xDFFF for char in text):
        assert parse_yaml(quoted(text), name="x").value == text


# A file as people write them: each line a choice, so that comments, blanks, styles and unicode meet in every way.

_NAMES = st.lists(st.sampled_from(["n-1", "n-2", "n-3", "12", "no", "x.y"]), unique=True, min_size=1, max_size=4)
_COMMENT = st.sampled_from(["", "", "  # ö comment", "   # a: b"])
_VALUES = st.sampled_from(
    ["1", "text", "'quo''ted'", '"dou\\"ble"', "[a, {b: c}]", "{x: 1}", "~", "", "ü ☃", "a\n{i}  b"]
)
_GAP = st.sampled_from(["", "", "\n", "{i}# own line\n", "# at the margin\n", "   \n"])


@st.composite
def _body(draw: st.DrawFn, indent: str) -> str:
    """What follows `name:`, up to and including its line end."""
    kind = draw(st.sampled_from(["nothing", "null", "empty", "flow", "block", "block", "literal"]))
    comment = draw(_COMMENT)
    if kind == "flow":
        inner = draw(
            st.sampled_from(["{a: 1}", "{ a: [1, 2] , }", "{host_key: old, b: x}", "{\n{i} a: 1, # c\n{i} b: 2\n{i}}"])
        )
        return f" {inner}{comment}\n".replace("{i}", indent + "  ")
    if kind in ("nothing", "null", "empty"):
        return {"nothing": "", "null": " null", "empty": " {}"}[kind] + comment + "\n"
    inner = indent + draw(st.sampled_from(["  ", "    "]))
    keys = draw(st.lists(st.sampled_from(["a", "b", "host_key", "vars"]), unique=True, min_size=1, max_size=3))
    lines = []
    for key in keys:
        value = draw(_VALUES).replace("{i}", inner)
        lines.append(
            draw(_GAP).replace("{i}", inner) + f"{inner}{key}: {value}{draw(_COMMENT) if '[' not in value else ''}\n"
        )
    if kind == "literal":
        mark = draw(st.sampled_from(["|", ">-", "|+"]))
        lines.append(f"{inner}note: {mark}\n{inner}  some\n\n{inner}  text\n{draw(st.sampled_from(['', chr(10) * 2]))}")
    return comment + "\n" + "".join(lines)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_pins_of_several_nodes_at_once_say_what_one_after_the_other_does(data: st.DataObject) -> None:
    text, *_ = data.draw(_inventories())
    names = data.draw(st.lists(st.sampled_from(_nodes(text)), unique=True, min_size=1))
    one_by_one = text
    for name in names:
        one_by_one = pin(one_by_one, name)
    together = pinned_text(text, {NodeName(name): PINS for name in names}, name="f")
    assert parse_yaml(together, name="f").value == parse_yaml(one_by_one, name="f").value


def _nodes(text: str) -> list[str]:
    hosts = parse_yaml(text, name="f").value["all"]["hosts"]
    return [str(name) for name in hosts if not str(name).startswith("r-")]


@st.composite
def _inventories(draw: st.DrawFn) -> tuple[str, str]:
    """The text of an inventory, and one of its nodes."""
    step = draw(st.sampled_from(["  ", "    "]))
    names = draw(_NAMES)
    lines = [draw(st.sampled_from(["", "# head\n\n", "---\n"])), "all:\n", f"{step}hosts:\n"]
    ranged = draw(st.booleans())
    if ranged:
        lines.append(f"{step * 2}r-[1:3]:{draw(_COMMENT)}\n")
    for name in names:
        key = f'"{name}"' if name in ("12", "no") else name
        lines += [draw(_GAP).replace("{i}", step * 2), f"{step * 2}{key}:", draw(_body(step * 2))]
    lines += [draw(_GAP).replace("{i}", ""), draw(st.sampled_from(["", f"{step}vars:\n{step * 2}z: 1\n", "# end"]))]
    text = "".join(lines)
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text, draw(st.sampled_from([*names, "r-2"] if ranged else names))


@settings(max_examples=150, deadline=None)
@given(
    _inventories(),
    st.dictionaries(st.sampled_from(["host_key", "edge_key"]), st.text("ab\"'\\# é:", max_size=8), min_size=1),
)
def test_whatever_the_file_looks_like_only_the_pins_change(made: tuple[str, str], values: dict[str, str]) -> None:
    text, node = made
    before = parse_yaml(text, name="f").value
    pinned = pin(text, node, values)
    after = parse_yaml(pinned, name="f").value

    expected = {**(before["all"]["hosts"].get(node) or {}), **values}
    assert {**(after["all"]["hosts"][node] or {})} == expected
    after["all"]["hosts"].pop(node)
    before["all"]["hosts"].pop(node, None)
    assert after == before

    kept = [line for line in text.splitlines() if line.strip().startswith("#") or not line.strip()]
    assert [line for line in pinned.splitlines() if line in kept] == kept
    assert pin(pinned, node, values) == pinned
    for name in values:
        strings = build_inventory(parse_yaml(pinned, name="f"), path=Path("f")) if _loads(pinned) else None
        assert strings is None or strings.nodes[NodeName(node)].variables[name] == values[name]


def _loads(text: str) -> bool:
    """Whether the rest of a made-up inventory is one that fleet takes (`host_key: 1` is not)."""
    try:
        build_inventory(parse_yaml(text, name="f"), path=Path("f"))
    except InventoryError:
        return False
    return True
