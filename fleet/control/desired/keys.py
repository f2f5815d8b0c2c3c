"""Who shows which key to whom: the key rings of gateways, the keys fronts show edges, the agent's token. Pure.

A front takes the clients' key (inference) and the fleet key; an edge takes the fleet key only. The fleet key may do all
(inference, node, admin): the laptop drains an edge with it. An API is shown its own key, which is neither of them.
Every gateway also knows the key `metrics`, which follows from the fleet key and opens metrics and snapshots only, and
the token of its node's agent as the key `agent`, which cares for the node's own sidecars and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from fleet.control.desired.apiupstreams import api_key_files
from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.roster import Roster
from fleet.control.desired.sealed import Sealed
from fleet.control.desired.watchsecrets import watch_secret_files
from fleet.control.inventory import Node
from fleet.control.playbook.tasks import AgentDaemon
from fleet.errors import InventoryError
from fleet.traffic.keyring import HashedKey, KeyRing
from fleet.vocabulary.names import GatewayRole, NodeName
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.tokens import agent_token, metrics_key

_NO_KEYS = KeyRing()
OPENCLAW = "openclaw"
NEXT = ".next"
PREVIOUS = ".previous"
_MEANINGS = {
    "fleet_key": "what fronts and the laptop show to nodes",
    "gateway_key": "what clients show to a front",
}


def reference_of(node: Node, name: str) -> str:
    """The secret reference in `gateway_key` or `fleet_key`. Raises InventoryError that says how to set it."""
    reference = getattr(node.settings, name)
    if not reference:
        raise InventoryError(
            f"{name} is not set",
            node=node.name,
            place=node.place,
            detail=f"It is a reference to {_MEANINGS[name]}.",
            hint=f"under `vars:` write  {name}: file:secrets/{name.removesuffix('_key')}.key"
            f"\nand make that file:  openssl rand -hex 32 > secrets/{name.removesuffix('_key')}.key (chmod 600)",
        )
    return str(reference)


def secret_references(book: NodePlaybook, rosters: Mapping[NodeName, Roster]) -> Iterator[str]:
    """The references that the services of a node need."""
    own = rosters[book.node.name]
    if own.role or any(isinstance(task.action, AgentDaemon) for task in book.tasks):
        yield reference_of(book.node, "fleet_key")
    if own.openclaw is not None:
        yield from (own.openclaw.key, own.openclaw.token, *own.openclaw.secrets.values())
    if own.role is GatewayRole.FRONT:
        yield reference_of(book.node, "gateway_key")
        yield from openclaw_keys(rosters)
        yield from upstream_key_files(own, rosters)
        yield from (reference for reference, _ in api_key_files(own).values())
        yield from (reference for reference, _ in watch_secret_files(own).values())


def upstream_key_files(front: Roster, rosters: Mapping[NodeName, Roster]) -> Mapping[str, str]:
    """Secret reference -> the file that holds the key which the front shows. Usually one: the fleet's."""
    own = reference_of(front.node, "fleet_key")
    found = {own: front.layout.etc("fleet.key")}
    others = watched_by(front, rosters) if front.node.settings.front_watch else edges_of(front, rosters)
    for other in others:
        reference = reference_of(other.node, "fleet_key")
        found.setdefault(reference, front.layout.etc(f"fleet-{other.node.name}.key"))
    return found


def edges_of(front: Roster, rosters: Mapping[NodeName, Roster]) -> Iterator[Roster]:
    """The other nodes whose sidecars a front reaches through their edges."""
    for other in rosters.values():
        if other.node.name != front.node.name and other.edge and other.sidecars:
            yield other


def watched_by(front: Roster, rosters: Mapping[NodeName, Roster]) -> Iterator[Roster]:
    """The other nodes whose gateways a front asks how they are: edges and fronts, with or without sidecars."""
    for other in rosters.values():
        if other.node.name != front.node.name and other.role is not None:
            yield other


def openclaw_keys(rosters: Mapping[NodeName, Roster]) -> Mapping[str, str]:
    """Secret reference -> the name of the key that it is: every front takes those of all OpenClaws."""
    keys = {other.openclaw.key: other.node.name for other in rosters.values() if other.openclaw is not None}
    return {reference: "openclaw" if len(keys) == 1 else f"openclaw-{node}" for reference, node in keys.items()}


def ring_references(node: Node) -> Mapping[str, tuple[str, ...]]:
    """`fleet_key` and `gateway_key` -> the references under which a key of that name may lie: its own comes first.

    While a key is changed, the one to come lies beside its file as `.next`, the one that goes as `.previous`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in _MEANINGS:
        own = getattr(node.settings, name)
        if own:
            beside = tuple(own + ending for ending in (NEXT, PREVIOUS)) if own.startswith("file:") else ()
            found[name] = (own, *beside)
    return found


def key_ring(
    roster: Roster,
    secrets: Mapping[str, Secret],
    *,
    agent: bool,
    clients: KeyRing = _NO_KEYS,
    openclaws: Mapping[str, str] = MappingProxyType({}),
) -> Sealed:
    """The content of a gateway's keys.json. Raises InventoryError when two are the same.

    `agent`: the node has one. `clients`: the project's own keys, which fronts take besides gateway_key. `openclaws`:
    the keys of OpenClaws by reference, which are tagged by their app.

    While a key is changed, the gateway takes the one that comes and the one that goes as well.
    """
    node, front = roster.node, roster.role is GatewayRole.FRONT
    known = {name: [one for one in ring if one in secrets] for name, ring in ring_references(node).items()}
    fleet = (reference_of(node, "fleet_key"), *known["fleet_key"][1:])
    theirs = (reference_of(node, "gateway_key"), *known["gateway_key"][1:]) if front else ()
    own_clients = clients.keys if front else ()
    apps = dict(openclaws) if front else {}

    def make() -> Secret:
        own = [key for one in fleet for key in _of_the_fleet(secrets[one], node.name, also=_also(one), agent=agent)]
        shown = [
            HashedKey(name=f"clients{_also(one)}", sha256=_sha256(secrets[one]), scopes=("inference",))
            for one in theirs
        ]
        if {_sha256(secrets[one]) for one in apps} & {key.sha256 for key in (*own, *shown)}:
            raise InventoryError(
                "the key of OpenClaw is also gateway_key or fleet_key: its requests could not be told from others",
                node=node.name,
                place=node.place,
                hint="a file of its own:  openssl rand -hex 32 > secrets/openclaw.key (chmod 600)",
            )
        for one, name in apps.items():
            texts = {key.sha256 for key in own_clients if key.name == name}
            if texts and _sha256(secrets[one]) not in texts:
                raise InventoryError(
                    f"fleet key has a key {name!r}, and its text is not what {one} holds",
                    node=node.name,
                    place=node.place,
                    hint=f"write the text that fleet key new (or rotate) showed into {one.removeprefix('file:')}",
                )
        shown += own_clients
        shown += [
            HashedKey(name=name, sha256=_sha256(secrets[one]), scopes=("inference",), app=OPENCLAW)
            for one, name in apps.items()
        ]
        if {key.sha256 for key in own} & {key.sha256 for key in shown}:
            raise InventoryError(
                "gateway_key and fleet_key are the same secret: every client could administer the fleet",
                node=node.name,
                place=node.place,
            )
        unique: dict[str, HashedKey] = {}
        for key in (*shown, *own):
            unique.setdefault(key.sha256, key)
        return _ring(unique.values())

    known_keys = hashlib.sha256(msgspec.json.encode(own_clients)).hexdigest() if own_clients else "none"
    recipe = f"keys of {node.name}, agent {agent}, clients {known_keys}"
    if apps:
        recipe += f", apps {', '.join(apps.values())}"
    return Sealed(recipe=recipe, references=(*fleet, *theirs, *apps), derived=True, make=make)


def token_of(own: Roster, secrets: Mapping[str, Secret]) -> Sealed:
    """The token of a node's agent, which follows from the fleet key."""
    reference, name = reference_of(own.node, "fleet_key"), own.node.name
    return Sealed(
        recipe=f"agent of {name}",
        references=(reference,),
        derived=True,
        make=lambda: agent_token(secrets[reference], name),
    )


def api_key(front: Roster, api: str, secrets: Mapping[str, Secret]) -> Sealed:
    """What a front shows to an API. Making it raises InventoryError when it is a key of the fleet's own."""
    reference = api_key_files(front)[api][0]
    own = {name: reference_of(front.node, name) for name in _MEANINGS}

    def make() -> Secret:
        shown = secrets[reference]
        for name, one in own.items():
            if secrets[one] == shown:
                raise InventoryError(
                    f"upstreams.{api}.key and {name} are the same secret: {api} would be told {_MEANINGS[name]}",
                    node=front.node.name,
                    place=front.node.place_of("upstreams", api, "key"),
                )
        return shown

    return Sealed(recipe=f"key for {api}", references=(reference,), held_against=tuple(own.values()), make=make)


def _also(reference: str) -> str:
    """How the names of keys end that are taken while a key is changed."""
    return next((f"-{ending[1:]}" for ending in (NEXT, PREVIOUS) if reference.endswith(ending)), "")


def _of_the_fleet(fleet: Secret, node: str, *, also: str, agent: bool) -> Iterator[HashedKey]:
    yield HashedKey(name=f"fleet{also}", sha256=_sha256(fleet), scopes=("inference", "node", "admin"))
    yield HashedKey(name=f"metrics{also}", sha256=_sha256(metrics_key(fleet)), scopes=("node",))
    if agent:
        yield HashedKey(name=f"agent{also}", sha256=_sha256(agent_token(fleet, node)), scopes=("care",))


def _ring(keys: Iterable[HashedKey]) -> Secret:
    return Secret(msgspec.json.format(msgspec.json.encode(KeyRing(keys=tuple(keys))), indent=2).decode() + "\n")


def _sha256(key: Secret) -> str:
    return hashlib.sha256(key.reveal().encode()).hexdigest()
