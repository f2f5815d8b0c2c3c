"""The contracts of sync survive the wire, and refuse what is not theirs."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.vocabulary.contracts import frames, sync
from fleet.vocabulary.contracts.codec import ContractError, build, canonical, decode, digest_of, plain
from fleet.vocabulary.contracts.desired import (
    Blob,
    Command,
    Daemon,
    DesiredState,
    File,
    Item,
    LaunchdGate,
    Tree,
    TreeFile,
)
from fleet.vocabulary.layout import NodeLayout

FRAMES = [*typing.get_args(frames.FromNode), *typing.get_args(frames.ToNode)]
RECORDS = [sync.RunRequest, sync.Adopted, DesiredState, NodeLayout]
TEXT = st.text(max_size=12)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a contract's field."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([st.none() if arg is type(None) else values(arg) for arg in args])
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, values(args[1]), max_size=2)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {field.name: values(hints[field.name]) for field in dataclasses.fields(kind)}
        return st.builds(kind, **fields)
    simple = {
        str: TEXT,
        int: st.integers(-(2**53), 2**53),
        bool: st.booleans(),
        float: st.floats(allow_nan=False, allow_infinity=False),
    }
    return simple[kind]


@pytest.mark.parametrize("kind", FRAMES + RECORDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_struct_survives_the_wire(kind: type, data: st.DataObject) -> None:
    value = data.draw(values(kind))
    assert decode(canonical(value), kind) == value


@pytest.mark.parametrize("union", [frames.FromNode, frames.ToNode, Item])
def test_kinds_are_told_apart_and_never_shared(union: Any) -> None:
    kinds = [each.kind for each in typing.get_args(union)]
    assert len(set(kinds)) == len(kinds)


def test_the_text_is_canonical() -> None:
    one = NodeLayout(owner="me", commands={"b": "/b", "a": "/a"})
    two = NodeLayout(owner="me", commands={"a": "/a", "b": "/b"})
    assert canonical(one) == canonical(two)
    assert digest_of(one) == digest_of(two)
    assert b" " not in canonical(one)
    assert digest_of(one) != digest_of(NodeLayout(owner="me"))


def test_a_field_of_a_newer_fleet_is_ignored_and_an_unset_one_left_out() -> None:
    assert decode(b'{"kind":"hello","later":[1],"facts":{"new":1}}', sync.Hello) == sync.Hello(facts=sync.Facts())
    assert plain(sync.Hello()) == {"kind": "hello", "protocol": 1, "idle": False}


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("", sync.Hello, "not JSON"),
        ("[]", sync.Hello, "$: expected an object, found list"),
        ('{"kind":"commit"}', sync.Commit, "$.run_id: missing"),
        ('{"run_id":1}', sync.Commit, "$.run_id: expected str, found int"),
        ('{"idle":1}', sync.Hello, "$.idle: expected bool, found int"),
        ('{"protocol":true}', sync.Hello, "$.protocol: expected int, found bool"),
        ('{"steps":{}}', sync.Observed, "$.steps: expected a list, found dict"),
        ('{"steps":[{"key":"k","kind_of":"f","action":1,"task":""}]}', sync.Observed, "$.steps[0].action"),
        ('{"kind":"later"}', frames.ToNode, "unknown kind 'later', expected one of blob, bye, collect, commit"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, kind: Any, words: str) -> None:
    with pytest.raises(ContractError) as refused:
        decode(text, kind)
    assert words in str(refused.value)


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=10,
    )
)
def test_any_json_is_read_or_refused_in_words(data: object) -> None:
    try:
        build(json.loads(json.dumps(data)), DesiredState)
    except ContractError:
        pass


def a_state(**changes: object) -> DesiredState:
    items: tuple[Item, ...] = (
        File(task="t", path="/x", blob=Blob(digest="sha256:aa", size=1), mode=0o644, owner="o", group="g"),
        Tree(
            task="t",
            role="model",
            name="m",
            path="/m",
            files=(TreeFile(path="w", blob=Blob(digest="sha256:bb", size=2)),),
        ),
        Tree(task="t", role="env", name="e", path="/e", archive=Blob(digest="sha256:cc", size=3)),
        Daemon(
            task="t",
            label="l",
            service="s",
            plist=Blob(digest="sha256:dd", size=4),
            user="u",
            group="g",
            program="/p",
            exit_timeout_seconds=5,
        ),
        Command(task="t", name="c", argv=("/c",), user="u"),
    )
    state = DesiredState(node="n", layout=NodeLayout(owner="o"), interpreter="/py", items=items)
    return dataclasses.replace(state, **changes)  # type: ignore[arg-type]


def test_a_state_names_every_blob_that_it_needs() -> None:
    assert set(a_state().blobs) == {"sha256:aa", "sha256:bb", "sha256:cc", "sha256:dd"}
    assert [daemon.label for daemon in a_state().daemons] == ["l"]
    secret = Blob(digest="hmac-sha256:ee", size=1)
    assert (secret.secret, secret.hex) == (True, "ee")


def test_the_state_id_follows_everything_in_the_state() -> None:
    state = a_state()
    assert len(state.state_id) == 64
    assert decode(canonical(state), DesiredState).state_id == state.state_id
    assert a_state(node="other").state_id != state.state_id
    assert a_state(items=state.items[:-1]).state_id != state.state_id


def test_a_whole_number_of_seconds_has_one_text_however_it_was_written() -> None:
    one, two = (a_state(gates=(LaunchdGate(label="l", within_seconds=seconds),)) for seconds in (60, 60.0))
    assert one.state_id == two.state_id == decode(canonical(one), DesiredState).state_id


def test_item_keys_are_unique_by_what_they_are() -> None:
    keys = [item.key for item in a_state().items]
    assert keys == ["file:/x", "tree:model:m", "tree:env:e", "daemon:l", "command:c"]


def test_kind_is_never_a_field() -> None:
    for struct in FRAMES + list(typing.get_args(Item)):
        assert typing.get_type_hints(struct)["kind"] == ClassVar[str]
