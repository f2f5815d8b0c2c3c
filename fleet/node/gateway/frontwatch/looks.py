"""From what the book of nodes heard to what the checks look at; and whether this front itself is cut off. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from fleet.node.gateway.frontwatch.reach import Reach, Silent, forgiven, reached
from fleet.node.gateway.nodebook import Heard
from fleet.vocabulary.health.sample import Sample, Silence
from fleet.vocabulary.health.state import NodeState, Transition
from fleet.vocabulary.health.step import departed, step, woke

FEWEST_TO_SUSPECT_OURSELVES = 2
"""One other that is silent may just be dead; two or more that fall silent together are us."""
SAME_NODE_SECONDS = 4.0
"""A node is looked at again after this: the book hears it more often than people need."""
MOST_AT_ONCE = 10
"""Nodes in one look: hundreds would hold up the answers that are streamed meanwhile."""
_PORT: Mapping[bool | None, str] = MappingProxyType(
    {True: "; its SSH port answers", False: "; its SSH port is dead too", None: ""}
)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of all nodes, of the other fronts (`peers`), of nodes without a gateway, and of this front itself.

    `cut_off`: nobody else answered at the last look.
    """

    nodes: dict[str, NodeState] = {}
    peers: dict[str, Reach] = {}
    doors: dict[str, Reach] = {}
    alone: Reach = Reach()
    cut_off: bool = False
    schema: int = 1


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the last try at a peer, or at an SSH port, brought. `problem` "" = it answered; None = not tried yet."""

    problem: str | None = None

    @property
    def answers(self) -> bool | None:
        """Whether it did; None = nobody knows yet."""
        return None if self.problem is None else not self.problem


@dataclass(frozen=True, kw_only=True)
class Look:
    """All that is looked at now. `heard` are new attempts; `answering` says of every other one whether it answers.

    `doors` are the SSH ports of nodes that have nothing else, `ssh` what is known of the ports of all.
    """

    front: str
    heard: tuple[Heard, ...]
    peers: Mapping[str, Answer]
    doors: Mapping[str, Answer]
    answering: Mapping[str, bool | None]
    known: Collection[str]
    ssh: Mapping[str, Answer] = field(default_factory=dict)


def due(heard: Iterable[Heard], looked: Mapping[str, float]) -> tuple[Heard, ...]:
    """The attempts to look at now, those first that waited longest. `looked`: the time of the attempt looked at last.

    A clock that was set back is no reason to wait.
    """
    found = [
        (looked.get(one.node, -math.inf), one)
        for one in heard
        if one.tried_at_seconds is not None
        and not 0 <= one.tried_at_seconds - looked.get(one.node, -math.inf) < SAME_NODE_SECONDS
    ]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0])[:MOST_AT_ONCE])


def turned(memory: Memory, look: Look, now_seconds: float) -> tuple[Memory, tuple[Transition, ...]]:
    """The memory after one look, and what changed."""
    told: list[Transition] = []
    cut_off = is_cut_off(look.answering)
    memory = rested(memory, now_seconds) if cut_off or memory.cut_off else memory
    nodes = {name: state for name, state in memory.nodes.items() if name in look.known}
    for name in memory.nodes.keys() - nodes.keys():
        told += departed(memory.nodes[name], now_seconds)
    for heard in look.heard:
        own = heard.node == look.front
        ssh = look.ssh.get(heard.node, Answer())
        seen = None if cut_off and not own else look_of(heard, own=own, is_peer=heard.node in look.peers, ssh=ssh)
        if seen is not None:
            before = nodes.get(heard.node, NodeState(node=heard.node))
            nodes[heard.node], changes = step(before, seen, now_seconds)
            told += changes
    peers, doors = dict(memory.peers), dict(memory.doors)
    for kept, answers, words in ((peers, look.peers, _peer), (doors, look.doors, _door)):
        for name in kept.keys() - answers.keys():
            told += _gone(kept.pop(name), words(name, Answer()), now_seconds)
        for name, answer in answers.items():
            if answer.answers is None or (cut_off and not answer.answers):
                continue
            before_one = kept.get(name, Reach())
            kept[name], change = reached(before_one, words(name, answer), now_seconds, answers=answer.answers)
            told += [change] if change else []
    alone, change = memory.alone, None
    if cut_off or _is_in_company(look.answering):
        alone, change = reached(alone, _alone(look), now_seconds, answers=not cut_off)
    told += [change] if change else []
    return Memory(nodes=nodes, peers=peers, doors=doors, alone=alone, cut_off=cut_off), tuple(told)


def rested(memory: Memory, now_seconds: float) -> Memory:
    """After this front was away (stopped, or cut off): a silence of the meantime is nobody's, what was told stays."""
    return msgspec.structs.replace(
        memory,
        nodes={name: woke(state, now_seconds) for name, state in memory.nodes.items()},
        peers={name: forgiven(one) for name, one in memory.peers.items()},
        doors={name: forgiven(one) for name, one in memory.doors.items()},
    )


def restarted(memory: Memory, now_seconds: float) -> Memory:
    """What a new process begins with."""
    return msgspec.structs.replace(rested(memory, now_seconds), alone=forgiven(memory.alone), cut_off=False)


def is_cut_off(answering: Mapping[str, bool | None]) -> bool:
    """Whether it is this front, and not all the others at once."""
    return len(answering) >= FEWEST_TO_SUSPECT_OURSELVES and all(one is False for one in answering.values())


def _is_in_company(answering: Mapping[str, bool | None]) -> bool:
    """Whether somebody is known to answer; with too few others to tell, nobody is missed."""
    return len(answering) < FEWEST_TO_SUSPECT_OURSELVES or any(answering.values())


def look_of(heard: Heard, *, own: bool, is_peer: bool = False, ssh: Answer | None = None) -> Sample | Silence | None:
    """What an attempt says about health. None = nothing: it was not tried, or another check speaks of it.

    The sample's time is when it came first: an agent that hangs goes on with an old one.
    """
    if heard.tried_at_seconds is None:
        return None
    if not heard.problem and heard.snapshot is not None and heard.heard_at_seconds is not None:
        age = 0.0 if heard.heard_at is None or heard.new_at is None else max(0.0, heard.heard_at - heard.new_at)
        return Sample(at_seconds=heard.heard_at_seconds - age, snapshot=heard.snapshot)
    if own or heard.reached:
        return Silence(agent_only=True, problem=heard.problem)
    said = _PORT[ssh.answers if ssh is not None else None]
    return None if is_peer else Silence(problem=heard.problem + said)


def _gone(before: Reach, words: Silent, now: float) -> list[Transition]:
    """The end of what was told of something that is not watched any more."""
    _, change = reached(before, words, now, answers=True)
    return [change] if change else []


def _peer(name: str, answer: Answer) -> Silent:
    return Silent(
        node=name,
        check="front_silent",
        text=f"the front is silent: {answer.problem or 'no answer'}",
        next="its clients get no answer; those that know another front go there",
        do=f"fleet ssh {name}; fleet logs {name} gateway",
    )


def _door(name: str, answer: Answer) -> Silent:
    return Silent(
        node=name,
        check="node_unreachable",
        text=f"not reached: its SSH port: {answer.problem or 'no answer'}",
        next="nothing else is known of it: it has no gateway",
        do=f"fleet ssh {name}; if that fails too: is it powered, awake and on the network?",
    )


def _alone(look: Look) -> Silent:
    return Silent(
        node=look.front,
        check="front_alone",
        text=f"this front reaches none of {len(look.answering)} others: it is probably cut off itself",
        next="it serves with its own models only, and blames nobody for the silence",
        do=f"look at the network of {look.front}; another front, if there is one, knows more",
    )
