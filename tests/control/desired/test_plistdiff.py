"""A plan shows which keys of a plist change, not which lines of its XML."""

from __future__ import annotations

import plistlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.control.desired.plistdiff import KeyChange, plist_diff, text_diff

PLISTS = st.dictionaries(
    st.sampled_from(["Label", "Umask", "RunAtLoad", "ProgramArguments", "EnvironmentVariables"]),
    st.booleans()
    | st.integers(0, 9)
    | st.sampled_from(["a", "b"])
    | st.lists(st.sampled_from(["x", "y", "z"]), max_size=4)
    | st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "2"]), max_size=2),
)


def text(plist: dict[str, Any]) -> str:
    """The XML of a plist."""
    return plistlib.dumps(plist, sort_keys=False).decode()


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a plan shows."""
    return [change.text for change in plist_diff(text(old), text(new))]


def test_a_changed_a_new_and_a_lost_key_are_told_by_their_path() -> None:
    old = {"Umask": 63, "RunAtLoad": True, "EnvironmentVariables": {"LANG": "C", "HOME": "/x"}}
    new = {"Umask": 18, "EnvironmentVariables": {"LANG": "C", "USER": "fleet"}, "Nice": 5}
    assert changes(old, new) == [
        "Umask: 63 -> 18",
        'EnvironmentVariables.USER: + "fleet"',
        'EnvironmentVariables.HOME: - "/x"',
        "Nice: + 5",
        "RunAtLoad: - true",
    ]


def test_a_changed_word_of_a_command_is_told_by_its_index() -> None:
    old = {"ProgramArguments": ["/p", "--port", "8800", "--log"]}
    assert changes(old, {"ProgramArguments": ["/p", "--port", "8801", "--log"]}) == [
        'ProgramArguments[2]: "8800" -> "8801"'
    ]
    assert changes(old, {"ProgramArguments": ["/p", "--verbose", "--port", "8800", "--log"]}) == [
        'ProgramArguments[1]: + "--verbose"'
    ]
    assert changes(old, {"ProgramArguments": ["/p", "--port", "8800"]}) == ['ProgramArguments[3]: - "--log"']


def test_true_is_not_one() -> None:
    assert changes({"A": True}, {"A": 1}) == ["A: true -> 1"]


def test_white_space_and_order_of_keys_are_no_change() -> None:
    one = text({"Label": "x", "Umask": 63})
    other = text({"Umask": 63, "Label": "x"}).replace("\t", "    ")
    assert plist_diff(one, other) == ()


def test_a_text_that_is_no_plist_is_one_change() -> None:
    assert plist_diff("garbage", "garbage") == ()
    (change,) = plist_diff("garbage", text({"Label": "x"}))
    assert change.path == "(plist)"
    assert "no plist" in (change.old or "")


@given(PLISTS, PLISTS)
def test_there_is_a_change_exactly_when_the_plists_differ(old: dict[str, Any], new: dict[str, Any]) -> None:
    def typed(value: Any) -> Any:
        match value:
            case dict():
                return {key: typed(item) for key, item in value.items()}
            case list():
                return [typed(item) for item in value]
            case _:
                return (type(value).__name__, value)

    found = plist_diff(text(old), text(new))
    assert bool(found) == (typed(old) != typed(new))
    assert all(change.old != change.new for change in found)


@given(st.text(max_size=60))
def test_any_text_can_be_compared(odd: str) -> None:
    assert all(isinstance(change, KeyChange) for change in plist_diff(odd, text({"Label": "x"})))


def test_a_text_diff_has_no_file_headers() -> None:
    assert text_diff("a\nb\n", "a\nc\n") == ("@@ -1,2 +1,2 @@", " a", "-b", "+c")
    assert text_diff("a\n", "a\n") == ()
