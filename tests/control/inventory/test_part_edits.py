"""A part of an inventory is edited, and nothing else of the file changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.inventory.partedit import Append, CannotEdit, Drop, Number, Order, PartEdit, Put
from fleet.control.inventory.partedits import edited
from fleet.control.inventory.yamlsource import parse_yaml

ROUTES = """\
# ours
routes:   # who asks whom
  chat: [qwen, kimi, flash]  # own first
  token-track:
    # slow but good
    models:
      - qwen   # ours
      # cheap
      - kimi   # the api

      - flash
    gray: pool
  wide: [
    qwen,   # ours
    kimi,   # theirs
    flash,  # new
  ]
  pool: {models: [owl], track: gray, share: 0.10}
up:
  models:
    flash: deepseek/deepseek-v4-flash   # cheap
    opus: {asked: a/opus, price: {prompt_per_million: 5, completion_per_million: 25}}  # dear
  other: {a: b/a, c: d/c}
  names: [a/x, b/y]
"""


def edit(*edits: PartEdit) -> str:
    return edited(ROUTES, edits, name="fleet.yml")


def changed(new: str) -> list[str]:
    import difflib

    return [line for line in difflib.ndiff(ROUTES.splitlines(), new.splitlines()) if line[:1] in "+-"]


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (Order(("routes", "chat"), ("qwen", "flash", "kimi")),
         ["-   chat: [qwen, kimi, flash]  # own first", "+   chat: [qwen, flash, kimi]  # own first"]),
        (Order(("routes", "chat"), ("kimi", "flash")),
         ["-   chat: [qwen, kimi, flash]  # own first", "+   chat: [kimi, flash]  # own first"]),
        (Order(("routes", "token-track", "models"), ("qwen", "flash")), ["-       - kimi   # the api"]),
        (Order(("routes", "wide"), ("qwen", "kimi")), ["-     flash,  # new"]),
        (Drop(("routes", "token-track", "gray")), ["-     gray: pool"]),
        (Drop(("routes", "pool")), ["-   pool: {models: [owl], track: gray, share: 0.10}"]),
        (Drop(("up", "models", "flash")), ["-     flash: deepseek/deepseek-v4-flash   # cheap"]),
        (Drop(("up", "other", "c")), ["-   other: {a: b/a, c: d/c}", "+   other: {a: b/a}"]),
        (Drop(("up", "other", "a")), ["-   other: {a: b/a, c: d/c}", "+   other: {c: d/c}"]),
        (Drop(("up", "names", 1)), ["-   names: [a/x, b/y]", "+   names: [a/x]"]),
        (Put(("up", "models"), "step-3.5-flash", "stepfun/step:free"), ['+     step-3.5-flash: "stepfun/step:free"']),
        (Put(("up", "other"), "yes", "e/f"),
         ["-   other: {a: b/a, c: d/c}", '+   other: {a: b/a, c: d/c, "yes": e/f}']),
        (Append(("up", "names"), "c/z"), ["-   names: [a/x, b/y]", "+   names: [a/x, b/y, c/z]"]),
        (Append(("routes", "wide"), "opus"), ["+     opus,"]),
        (Append(("routes", "token-track", "models"), "opus"), ["+       - opus"]),
    ],
)  # fmt: skip
def test_an_edit_touches_its_own_lines_only(wanted: PartEdit, lines: list[str]) -> None:
    assert changed(edit(wanted)) == lines


def test_a_comment_goes_with_its_item() -> None:
    found = edit(Order(("routes", "token-track", "models"), ("kimi", "qwen", "flash")))
    assert "    models:\n      # cheap\n      - kimi   # the api\n      - qwen   # ours\n\n      - flash\n" in found
    found = edit(Order(("routes", "wide"), ("flash", "qwen", "kimi")))
    assert "  wide: [\n    flash,  # new\n    qwen,   # ours\n    kimi,   # theirs\n  ]\n" in found


def test_a_number_is_written_as_it_is_said() -> None:
    price = ("up", "models", "opus", "price", "prompt_per_million")
    assert "price: {prompt_per_million: 4.5, completion_per_million: 25}}  # dear" in edit(Number(price, "4.5"))


def test_several_edits_follow_each_other() -> None:
    found = edit(Drop(("routes", "token-track", "gray")), Drop(("routes", "pool")), Drop(("up", "models", "flash")))
    assert changed(found) == [
        "-     gray: pool",
        "-   pool: {models: [owl], track: gray, share: 0.10}",
        "-     flash: deepseek/deepseek-v4-flash   # cheap",
    ]


def test_windows_line_ends_a_byte_order_mark_and_a_last_line_without_end_stay() -> None:
    text = "\ufeffroutes:\r\n  a:\r\n    - x\r\n    - y # last"
    found = edited(text, [Order(("routes", "a"), ("y", "x"))], name="f")
    assert found == "\ufeffroutes:\r\n  a:\r\n    - y # last\r\n    - x"
    assert edited(text, [Append(("routes", "a"), "z")], name="f") == text + "\r\n    - z"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: &x [p, q]\nb: *x\n", Order(("b",), ("q", "p"))),
        ("a: &x [p, q]\nb: *x\n", Order(("a",), ("q", "p"))),
        ("base: &b {k: [p, q]}\nc:\n  <<: *b\n", Order(("c", "k"), ("q", "p"))),
        ("a: [p]\n", Drop(("a", 0))),
        ("a: {k: 1}\n", Drop(("a", "k"))),
        ("a: [p, q]\n", Order(("a",), ("p", "z"))),
        ("a: {k: 1, l: 2}\n", Put(("a",), "k", "z")),
        ("a: {k: 1, l: 2}\n", Drop(("a", "m"))),
        ("- - p\n  - q\n", Order((0,), ("q", "p"))),
    ],
)
def test_what_cannot_be_edited_without_disturbing_is_refused(text: str, wanted: PartEdit) -> None:
    with pytest.raises(CannotEdit):
        edited(text, [wanted], name="f")


NAMES = st.lists(st.sampled_from([f"m{at}" for at in range(6)]), min_size=2, max_size=6, unique=True)


@settings(max_examples=80, deadline=None)
@given(NAMES, st.data())
def test_any_order_in_any_style_says_what_was_meant(names: list[str], data: st.DataObject) -> None:
    wanted = tuple(data.draw(st.permutations(names))[: data.draw(st.integers(1, len(names)))])
    remarks = data.draw(st.lists(st.sampled_from(["", "  # why"]), min_size=len(names), max_size=len(names)))
    block = "r:\n" + "".join(f"  - {name}{remark}\n" for name, remark in zip(names, remarks, strict=True)) + "z: 1\n"
    tall = "r: [\n" + "".join(f"  {name},{remark}\n" for name, remark in zip(names, remarks, strict=True)) + "]\nz: 1\n"
    last = "r: [\n" + ",\n".join(f"  {name}" for name in names) + "\n]\nz: 1\n"
    for text in (block, tall, last, f"r: [{', '.join(names)}]  # x\nz: 1\n"):
        found = edited(text, [Order(("r",), wanted)], name="f")
        assert parse_yaml(found, name="f").value == {"r": list(wanted), "z": 1}
        for name, remark in zip(names, remarks, strict=True):
            if text in (block, tall) and name in wanted and remark:
                assert any(name in line and "# why" in line for line in found.splitlines())


@settings(max_examples=80, deadline=None)
@given(NAMES, st.data())
def test_a_key_goes_or_comes_in_any_style_and_the_comments_of_the_others_stay(
    names: list[str], data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.sampled_from(["1", "'x'", "[p, q]", "{k: v}"]), min_size=6, max_size=6))
    pairs = [f"{name}: {value}" for name, value in zip(names, values, strict=False)]
    block = "r:  # top\n" + "".join(f"  {pair}  # of {pair[:2]}\n" for pair in pairs) + "z: 1\n"
    nested = "r:\n" + "".join(f"  {name}:\n    k: v  # of {name}\n" for name in names) + "z: 1\n"
    tall = "r: {\n" + "".join(f"  {pair},  # of {pair[:2]}\n" for pair in pairs) + "}\nz: 1\n"
    last = "r: {\n" + ",\n".join(f"  {pair}" for pair in pairs) + "\n}\nz: 1\n"
    for text in (block, nested, tall, last, f"r: {{{', '.join(pairs)}}}  # all\nz: 1\n"):
        gone = data.draw(st.sampled_from(names))
        less = edited(text, [Drop(("r", gone))], name="f")
        more = edited(text, [Put(("r",), "new", "v/n:free")], name="f")
        assert list(parse_yaml(less, name="f").value["r"]) == [name for name in names if name != gone]
        assert parse_yaml(more, name="f").value["r"]["new"] == "v/n:free"
        assert more.count("#") == text.count("#")
        for name in names:
            assert (f"# of {name}" in less) == (f"# of {name}" in text and name != gone)
