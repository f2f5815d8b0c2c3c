"""Which beginnings of prompts a server still has."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.prefix import CHUNK_BYTES, LONGEST_CHAIN, PrefixMemory, chain_of, session_of

SYSTEM = {"role": "system", "content": "You are careful. " * 200}


def a_request(*words: str, **fields: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": word} for word in words]
    return {"messages": [SYSTEM, *said], **fields}


def chain(request: dict[str, Any], model: str = "m") -> tuple[int, ...]:
    return chain_of(request, model)[0]


def shared(one: tuple[int, ...], two: tuple[int, ...]) -> int:
    return sum(a == b for a, b in zip(one, two, strict=False))


def test_two_prompts_with_one_beginning_have_one_beginning_of_their_chains() -> None:
    one, two = chain(a_request("x" * 3000)), chain(a_request("y" * 3000))
    alike = shared(one, two)
    assert alike * CHUNK_BYTES > 3000
    assert one[:alike] == two[:alike]
    assert one[alike] != two[alike]


def test_the_next_turn_of_a_conversation_goes_on_where_the_last_one_ended() -> None:
    before = chain(a_request("first " * 300))
    after = chain(a_request("first " * 300, "second " * 300))
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_other_models_and_other_tools_share_nothing() -> None:
    plain = chain(a_request("hello"))
    assert shared(plain, chain(a_request("hello"), "another")) == 0
    assert shared(plain, chain(a_request("hello", tools=[{"type": "function"}]))) == 0


def test_sampling_and_the_order_of_fields_do_not_matter() -> None:
    one = {"messages": [{"role": "user", "content": "x" * 2000}], "temperature": 0.1}
    two = {"temperature": 0.9, "messages": [{"content": "x" * 2000, "role": "user"}]}
    assert chain(one) == chain(two)


def test_a_short_prompt_and_one_that_nobody_asks_for_have_no_chain_but_a_size() -> None:
    found, size = chain_of({"messages": [{"role": "user", "content": "hi"}]}, "m")
    assert found == ()
    assert 10 < size < 100
    assert chain_of(a_request("hello"), "m", wanted=False) == ((), chain_of(a_request("hello"), "m")[1])


def test_a_chain_is_no_longer_than_its_bound() -> None:
    assert len(chain(a_request("x" * 1_000_000))) == LONGEST_CHAIN


def test_an_image_does_not_count_as_so_many_tokens_of_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    request = {"messages": [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}]}
    assert chain_of(request, "m")[1] < 10_000


def test_a_chain_is_the_same_in_another_process() -> None:
    code = (
        "from fleet.traffic.prefix import chain_of;"
        "print(chain_of({'messages': [{'role': 'user', 'content': 'x' * 3000}]}, 'm')[0])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(chain({"messages": [{"role": "user", "content": "x" * 3000}]}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(
    request=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("messages", "prompt", "input", "tools", "user", "session_id"), json_values)
    )
)
def test_any_request_has_a_chain_a_size_and_a_session(request: dict[str, Any]) -> None:
    found, size = chain_of(request, "m")
    assert len(found) <= LONGEST_CHAIN
    assert size >= 0
    assert len(session_of({}, request, request)) <= 256


def test_a_session_is_named_by_header_then_field_then_beginning() -> None:
    body = {"prompt_cache_key": "c", "session_id": "d", "user": "e"}
    request = a_request("hello", "again")
    assert session_of({"session_id": "b", "x-fleet-session": "a"}, body, request) == "a"
    assert session_of({"session_id": "b"}, body, request) == "b"
    assert session_of({}, body, request) == "c"
    assert session_of({}, {"user": "e"}, request) == "e"
    named = session_of({}, {}, request)
    assert named == session_of({}, {}, a_request("hello", "something else"))
    assert named != session_of({}, {}, a_request("another conversation"))


def test_a_name_of_a_session_is_cut() -> None:
    assert len(session_of({"x-fleet-session": "x" * 9000}, {}, {})) == 256


def test_it_remembers_what_was_sent_and_how_much_of_a_new_prompt_that_is() -> None:
    memory = PrefixMemory(10)
    first, second = chain(a_request("x" * 3000)), chain(a_request("y" * 3000))
    memory.remember(first)
    assert memory.matched_bytes(first) == len(first) * CHUNK_BYTES
    assert memory.matched_bytes(second) == shared(first, second) * CHUNK_BYTES
    assert memory.matched_bytes(chain(a_request("x"), "another")) == 0
    assert memory.matched_bytes(()) == 0


def test_a_conversation_takes_one_entry_however_long_it_grows() -> None:
    memory = PrefixMemory(10)
    for turns in range(1, 20):
        memory.remember(chain(a_request(*["word " * 200] * turns)))
    assert len(memory) == 1


def test_after_a_restart_it_knows_nothing() -> None:
    memory = PrefixMemory(10)
    memory.remember((1, 2))
    memory.clear()
    assert memory.matched_bytes((1, 2)) == 0
    assert memory.hashes == 0


words = st.lists(st.integers(0, 3), min_size=1, max_size=6)


def as_chain(path: list[int]) -> tuple[int, ...]:
    """Every prefix has a hash of its own, as in a real chain."""
    return tuple(int("1" + "".join(map(str, path[: end + 1]))) for end in range(len(path)))


@given(size=st.integers(0, 3), paths=st.lists(words, max_size=60))
def test_the_memory_is_bounded_and_holds_exactly_the_last_ones(size: int, paths: list[list[int]]) -> None:
    memory = PrefixMemory(size)
    model: list[tuple[int, ...]] = []
    for path in paths:
        new = as_chain(path)
        memory.remember(new)
        if size:
            ends = {one[-1]: one for one in model}
            known = max((at for at in range(len(new)) if any(new[at] in one for one in model)), default=-1)
            if known >= 0 and new[known] in ends:
                model.remove(ends[new[known]])
            model.append(new)
            del model[: max(0, len(model) - 4 * size)]
        assert len(memory) == len(model) <= 4 * size
        assert memory.hashes == len({one for held in model for one in held})
        for other in paths:
            probe = as_chain(other)
            best = max((shared(probe, held) for held in model), default=0)
            assert memory.matched_bytes(probe) == best * CHUNK_BYTES
