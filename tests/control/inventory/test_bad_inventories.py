"""Each bad inventory ends in one helpful message. bad.cases holds input and message; read it to know them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.control.inventory.ranges import MAX_NODES
from fleet.control.inventory.yamlsource import MAX_BYTES, load_yaml
from fleet.errors import ConfigError, FleetError, InventoryError, PlaybookError
from fleet.testing.inventories import inventory_of

CASES_FILE = Path(__file__).with_name("bad.cases")
_TITLE, _MESSAGE = "==== ", "----\n"


def cases() -> list[tuple[str, str, str]]:
    found = []
    for block in CASES_FILE.read_text().split(_TITLE)[1:]:
        title, _, body = block.partition("\n")
        text, _, message = body.partition(_MESSAGE)
        found.append((title, text.replace("<TAB>", "\t"), message.strip()))
    return found


@pytest.mark.parametrize(("title", "text", "message"), cases(), ids=[title for title, *_ in cases()])
def test_a_bad_inventory_is_one_helpful_message(title: str, text: str, message: str) -> None:
    with pytest.raises(InventoryError) as caught:
        inventory_of(text)
    assert caught.value.text == message
    assert caught.value.exit_code == 2


def test_every_message_has_a_place_and_advice() -> None:
    for title, _, message in cases():
        assert message.startswith("fleet.yml:"), title
        assert "hint: " in message, title


def aliases_of_aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "all:\n  vars:\n    " + "\n    ".join(lines) + "\n"


def test_aliases_of_aliases_are_stopped_before_they_multiply() -> None:
    with pytest.raises(InventoryError, match="more than 500,000 values"):
        inventory_of(aliases_of_aliases(30))


def test_merges_of_merges_are_stopped_before_they_multiply() -> None:
    keys = ", ".join(f"k{n}: 1" for n in range(5000))
    merges = "\n".join(f"    m{n}: {{<<: *a}}" for n in range(300))
    with pytest.raises(InventoryError, match="more than 500,000 values"):
        inventory_of(f"all:\n  vars:\n    a: &a {{{keys}}}\n{merges}\n")


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    with pytest.raises(InventoryError, match="nested deeper than 60"):
        inventory_of("all: " + "[" * 5000)


def test_ten_thousand_nodes_are_taken_and_one_more_is_not() -> None:
    assert len(inventory_of(f'all: {{hosts: {{"mini-[1:{MAX_NODES}]": {{a: 1}}}}}}').nodes) == MAX_NODES
    with pytest.raises(InventoryError, match="more than 10,000 nodes"):
        inventory_of(f'all: {{hosts: {{"mini-[1:{MAX_NODES}]": , one-more: }}}}')


def test_a_file_that_is_not_utf8_says_which_byte_and_where(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    path.write_bytes("all:\n  # grün\n  hosts: {b".encode() + b"\xfcro: }\n")
    with pytest.raises(InventoryError) as caught:
        load_yaml(path, name="fleet.yml")
    assert caught.value.text == "fleet.yml:3:12: not UTF-8: the byte 0xfc\n  hint: save the file as UTF-8"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InventoryError, match="larger than 4 MiB"):
        load_yaml(path)


@pytest.mark.parametrize("name", ["absent.yml", "."])
def test_a_file_that_is_none_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InventoryError, match="cannot be read"):
        load_yaml(tmp_path / name)


def test_a_playbook_gets_its_own_error(tmp_path: Path) -> None:
    path = tmp_path / "site.yml"
    path.write_text("")
    with pytest.raises(PlaybookError):
        load_yaml(path, error=PlaybookError)


@pytest.mark.parametrize("text", ["x", "=1", "a b=1", "y=[1", "gateway_port=x", "sudo=perhaps"])
def test_a_bad_set_is_refused(text: str) -> None:
    with pytest.raises(FleetError) as caught:
        inventory_of("all: {hosts: {a: }}", text)
    assert caught.value.exit_code == 2
    assert caught.value.text.startswith("--set ")
    assert isinstance(caught.value, ConfigError) or caught.value.hint
