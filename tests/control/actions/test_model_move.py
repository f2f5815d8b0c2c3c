"""A model moves: proved there before it is dropped here, whatever fails and whenever, and the same command goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.control.actions.modelmove import Move, Pins, Served, carry_out_move
from fleet.errors import FitError, InventoryError, NodeError, PartialFailure, UsageError
from fleet.vocabulary.names import NodeName

A, B, C = NodeName("mini-1"), NodeName("mini-2"), NodeName("mini-3")


class Cut(Exception):
    """The laptop died."""


@dataclass
class Room:
    """Three nodes that serve what they were deployed as, one front, an inventory; and a laptop that may die."""

    inventory: dict[NodeName, str | None]
    live: dict[NodeName, str | None] = field(default_factory=dict)
    routed: dict[NodeName, str | None] = field(default_factory=dict)
    weights: set[NodeName] = field(default_factory=set)
    left: int | None = None
    told: list[str] = field(default_factory=list)
    fits: bool = True
    editable: bool = True
    agreed: bool = True
    deaf: frozenset[NodeName] = frozenset()
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live = dict(self.inventory)
        self.routed = dict(self.inventory)

    def served(self, pins: Pins) -> Served:
        merged: dict[NodeName, str | None] = dict(self.inventory)
        for node, values in pins.items():
            if node not in self.deaf:
                merged[node] = values["model"]
        models: Mapping[NodeName, frozenset[str]] = {
            node: frozenset([model] if model else []) for node, model in merged.items()
        }
        return Served(models=models, chosen_by={(node, model): "model" for node, model in merged.items() if model})

    def require_fit(self, pins: Pins) -> None:
        if not self.fits:
            raise FitError("too large")

    def agree(self, lines: tuple[str, ...]) -> bool:
        self.told += lines
        return self.agreed

    def pull(self) -> None:
        self._do("pull")
        self.weights.add(B)

    def write(self, pins: Pins) -> None:
        if not self.editable:
            raise InventoryError("cannot be written here", hint="write these yourself")
        self._do("write")
        for node, values in pins.items():
            self.inventory[node] = values["model"]

    def deploy_target(self) -> None:
        self._do("target")
        self.live[B] = self.inventory[B]

    def deploy_fronts(self) -> None:
        self._do("fronts")
        self.routed = dict(self.inventory)

    def deploy_source(self) -> None:
        self._do("source")
        self.live[A] = self.inventory[A]

    def prove(self) -> None:
        self._do("prove")
        if self.live[B] != self.inventory[B] or self.routed[B] != self.inventory[B]:
            raise NodeError("its gate does not pass", node=B)

    def tell(self, text: str) -> None:
        self.told.append(text)

    def serving(self, model: str) -> set[NodeName]:
        return {node for node in self.live if self.live[node] == model == self.routed[node]}

    def _do(self, what: str) -> None:
        assert self.serving("big"), self.done
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Cut(what)
        self.done.append(what)


MOVE = Move(model="big", source=A, target=B, leave="small")


def a_room() -> Room:
    return Room({A: "big", B: "small", C: "small"})


def test_it_is_loaded_proved_and_routed_there_before_it_is_dropped_here() -> None:
    room = a_room()
    assert carry_out_move(MOVE, room)
    assert room.done == ["pull", "write", "target", "fronts", "prove", "write", "fronts", "source"]
    assert room.live == {A: "small", B: "big", C: "small"} == room.routed
    assert room.told[0] == "move big from mini-1 to mini-2:"


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 9), max_size=6))
def test_cut_anywhere_and_begun_again_it_ends_as_if_nothing_had_happened(cuts: list[int]) -> None:
    room = a_room()
    for cut in cuts:
        room.left = cut
        try:
            carry_out_move(MOVE, room)
        except Cut:
            assert room.serving("big")
    room.left = None
    assert carry_out_move(MOVE, room)
    assert room.live == {A: "small", B: "big", C: "small"} == room.routed
    assert room.done.count("write") == 2


def test_without_a_word_on_what_is_left_both_serve_until_somebody_edits_it() -> None:
    room = a_room()
    with pytest.raises(PartialFailure, match="still does"):
        carry_out_move(Move(model="big", source=A, target=B), room)
    assert room.serving("big") == {A, B}
    room.inventory[A] = None
    assert carry_out_move(Move(model="big", source=A, target=B), room)
    assert room.live[A] is None


def test_a_target_that_is_not_proved_leaves_the_source_alone() -> None:
    room = a_room()
    room.deploy_target = lambda: None  # type: ignore[method-assign] # it does not come up
    with pytest.raises(NodeError):
        carry_out_move(MOVE, room)
    assert room.inventory[A] == room.live[A] == "big"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"fits": False}, FitError, "too large"),
        ({"deaf": frozenset([B])}, UsageError, "not to be seen"),
        ({"inventory": {A: "big", B: "small", C: None}}, UsageError, "nobody would serve small"),
        ({"inventory": {A: None, B: None, C: "big"}}, UsageError, "it is on: mini-3"),
    ],
)
def test_what_cannot_go_well_is_refused_before_anything_is_done(
    change: dict[str, object], error: type[Exception], says: str
) -> None:
    room = a_room()
    for name, value in change.items():
        setattr(room, name, value)
    with pytest.raises(error) as raised:
        carry_out_move(MOVE if room.inventory.get(C) else Move(model="big", source=A, target=B), room)
    assert says in str(raised.value)
    assert room.done == []


def test_one_node_is_no_move_and_a_no_is_a_no() -> None:
    room = a_room()
    with pytest.raises(UsageError, match="one node"):
        carry_out_move(Move(model="big", source=A, target=A), room)
    room.agreed = False
    assert not carry_out_move(MOVE, room)
    assert room.done == []


def test_an_inventory_that_cannot_be_edited_says_what_to_write_and_goes_on_afterwards() -> None:
    room = a_room()
    room.editable = False
    with pytest.raises(InventoryError):
        carry_out_move(MOVE, room)
    room.inventory[B] = "big"
    with pytest.raises(InventoryError):
        carry_out_move(MOVE, room)
    assert room.serving("big") == {A, B}
    room.inventory[A] = "small"
    assert carry_out_move(MOVE, room)
    assert room.live == {A: "small", B: "big", C: "small"}
