"""Keys of clients: what is kept of them, how they are changed, and which fronts take them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.control.actions.clientkeys import created, digest_of_key, listed, new_text, revoked, rotated
from fleet.control.inventory.clientkeys import (
    load_client_keys,
    parse_client_keys,
    ring_text,
    write_client_keys,
)
from fleet.errors import InventoryError, UsageError
from fleet.traffic.keyring import HashedKey, KeyLimits, KeyRing
from fleet.vocabulary.names import Sensitivity

DAY = 86400


def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


ANNA = HashedKey(name="anna", sha256=digest(1), person="anna", limits=KeyLimits(monthly_usd="12.50"))
NAMES = st.sampled_from(["anna", "ben", "ci"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "rotate", "revoke"]), NAMES, st.integers(0, 3), st.integers(0, 5)), max_size=30
)


def taken(ring: KeyRing, now: int) -> dict[str, set[str]]:
    """Which texts open a front at a moment, by name."""
    found: dict[str, set[str]] = {}
    for key in ring.keys:
        if key.expires_at_seconds is None or key.expires_at_seconds > now:
            found.setdefault(key.name, set()).add(key.sha256)
    return found


@given(STEPS)
def test_a_key_has_one_newest_text_and_older_ones_only_as_long_as_was_granted(
    steps: list[tuple[str, str, int, int]],
) -> None:
    ring, now = KeyRing(), 1_000_000
    newest: dict[str, str] = {}
    granted: dict[str, dict[str, int]] = {}
    for number, (verb, name, grace, later) in enumerate(steps):
        now += later
        fresh = digest(number + 100)
        try:
            if verb == "create":
                ring = created(ring, HashedKey(name=name, sha256=fresh))
                newest[name], granted[name] = fresh, {}
            elif verb == "rotate":
                ring = rotated(ring, name, fresh, now_seconds=now, grace_seconds=grace)
                granted[name] = {one: min(end, now + grace) for one, end in granted[name].items()}
                granted[name][newest[name]] = now + grace
                newest[name] = fresh
            else:
                ring = revoked(ring, name)
                del newest[name]
        except UsageError:
            assert (verb == "create") == (name in newest)
        opens = {
            name: {text, *(one for one, end in granted[name].items() if end > now)} for name, text in newest.items()
        }
        assert taken(ring, now) == opens
        assert parse_client_keys(ring_text(ring).encode(), place="keys.json") == ring


def test_a_key_that_has_an_end_of_its_own_keeps_it_through_a_change() -> None:
    ring = created(KeyRing(), HashedKey(name="ci", sha256=digest(1), expires_at_seconds=5 * DAY))
    ring = rotated(ring, "ci", digest(2), now_seconds=0, grace_seconds=9 * DAY)
    assert [key.expires_at_seconds for key in ring.keys] == [5 * DAY, 5 * DAY]
    with pytest.raises(UsageError, match="has ended"):
        rotated(ring, "ci", digest(3), now_seconds=6 * DAY, grace_seconds=DAY)
    assert listed(ring, now_seconds=6 * DAY)[0].over


def test_texts_are_random_and_only_their_digest_is_kept(tmp_path: Path) -> None:
    one, other = new_text(), new_text()
    assert one.reveal() != other.reveal()
    assert re.fullmatch(r"sk-fleet-[\w-]{43}", one.reveal())
    write_client_keys(tmp_path, created(KeyRing(), HashedKey(name="anna", sha256=digest_of_key(one))))
    text = (tmp_path / "keys.json").read_text()
    assert one.reveal() not in text
    assert load_client_keys(tmp_path).keys[0].sha256 == hashlib.sha256(one.reveal().encode()).hexdigest()


def test_the_file_says_only_what_was_said() -> None:
    ring = KeyRing(keys=(ANNA, HashedKey(name="ci", sha256=digest(2), sensitivity=Sensitivity.SENSITIVE)))
    assert json.loads(ring_text(ring)) == {
        "schema": 1,
        "keys": [
            {"name": "anna", "sha256": digest(1), "person": "anna", "limits": {"monthly_usd": "12.50"}},
            {"name": "ci", "sha256": digest(2), "sensitivity": "sensitive"},
        ],
    }


def ring_of(*keys: dict[str, object]) -> str:
    return json.dumps({"keys": [{"name": "a", "sha256": digest(1), **key} for key in keys]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "truncated"),
        ('{"keys": [], "schema": 2}', "newer than this fleet"),
        (ring_of({"sha256": "xx"}), "64 hex digits"),
        (ring_of({"name": "clients"}), "of fleet's own keys"),
        (ring_of({"name": "A B"}), "small letters"),
        (ring_of({"scopes": ["inference", "admin"]}), "not admin"),
        (ring_of({"tracks": ["gold"]}), "no track 'gold'"),
        (ring_of({"limits": {"monthly_usd": "ten"}}), "not an amount"),
        (ring_of({"limits": {"concurrency": -1}}), "less than nothing"),
        (ring_of({"rpm": 5}), "unknown field"),
        (ring_of({}, {"name": "b"}), "the same digest"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InventoryError) as caught:
        parse_client_keys(text.encode(), place="keys.json")
    assert said in caught.value.text
    assert "keys.json" in caught.value.text


@given(st.binary(max_size=200))
def test_no_file_makes_a_traceback(content: bytes) -> None:
    try:
        parse_client_keys(content, place="keys.json")
    except InventoryError:
        return


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    write_client_keys(tmp_path, KeyRing(keys=(ANNA,)))
    (tmp_path / ".keys.json.new").mkdir()
    with pytest.raises(InventoryError, match="cannot be written"):
        write_client_keys(tmp_path, KeyRing())
    assert load_client_keys(tmp_path).keys == (ANNA,)


def test_a_name_that_is_not_there_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        revoked(KeyRing(keys=(ANNA,)), "ana")
    assert "did you mean `anna`?" in caught.value.text
