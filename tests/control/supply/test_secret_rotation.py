"""A key is changed without a gap: whatever node is at whatever step, what one shows another takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from fleet.control.desired.supplies import Supplies
from fleet.control.supply.secrets import SecretStore
from fleet.control.supply.secrets.keyfile import KeyFile, key_file, new_key
from fleet.errors import UsageError
from fleet.vocabulary.secret import Secret
from tests.control.desired.desired_kit import Kit, a_project, stand_in

KEYS = ("fleet", "gateway")


@dataclass(frozen=True)
class Moment:
    """What every node was compiled to at one step: the hashes that its gateway takes, and the keys that lie there."""

    taken: Mapping[str, set[str]]
    held: Mapping[str, Mapping[str, str]]
    laptop: Mapping[str, str]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    kit = a_project(tmp_path)
    (tmp_path / "secrets").mkdir()
    for name in KEYS:
        path = tmp_path / f"secrets/{name}.key"
        path.write_text(f"the-old-{name}-key\n")
        path.chmod(0o600)
    return kit


def file_of(kit: Kit, name: str) -> KeyFile:
    return key_file(f"file:secrets/{name}.key", kit.project.root, users="all")


def moment(kit: Kit) -> Moment:
    needs = kit.needs()
    usual = stand_in(needs)
    store = SecretStore(kit.project, [need.reference for need in needs.secrets], environ={"HUB_TOKEN": "x"})
    fields = {name: getattr(usual, name) for name in ("app", "envs", "models", "interpreters")}
    taken, held = {}, {}
    for name, compiled in kit.compile(supplies=Supplies(**fields, secrets=store)).items():
        files = {
            item.path.rpartition("/")[2]: compiled.secrets[item.blob.digest]().reveal()
            for item in compiled.state.items
            if item.kind == "file" and item.blob.digest in compiled.secrets
        }
        ring = json.loads(files.pop("keys.json"))
        assert len({key["name"] for key in ring["keys"]}) == len(ring["keys"])
        taken[str(name)] = {key["sha256"] for key in ring["keys"]}
        held[str(name)] = files
    laptop = {name: store[f"file:secrets/{name}.key"].reveal() for name in KEYS}
    return Moment(taken, held, laptop)


def taken(at: Moment, node: str, key: str) -> bool:
    return hashlib.sha256(key.encode()).hexdigest() in at.taken[node]


def fits(shower: Moment, taker: Moment) -> bool:
    """Whether nodes and a laptop at one step are let in by gateways at another."""
    fleet = [held["fleet.key"] for held in shower.held.values() if "fleet.key" in held] + [shower.laptop["fleet"]]
    return all(taken(taker, node, key) for node in taker.taken for key in fleet) and taken(
        taker, "front-1", shower.laptop["gateway"]
    )


@pytest.mark.parametrize("name", KEYS)
def test_at_every_step_every_node_takes_what_any_other_shows(kit: Kit, name: str) -> None:
    file, moments = file_of(kit, name), [moment(kit)]
    file.propose(new_key())
    moments.append(moment(kit))
    file.switch()
    moments.append(moment(kit))
    file.retire()
    moments.append(moment(kit))
    for one, other in pairwise(moments):
        assert fits(one, other)
        assert fits(other, one)
    assert not fits(moments[0], moments[-1])  # the old key does open nothing in the end
    assert not fits(moments[1], moments[-1])  # nor would it do to leave a step out


@pytest.mark.parametrize("name", KEYS)
def test_the_token_of_an_agent_is_taken_at_every_step_by_the_gateway_beside_it(kit: Kit, name: str) -> None:
    file, moments = file_of(kit, name), [moment(kit)]
    for step in (lambda: file.propose(new_key()), file.switch, file.retire):
        step()
        moments.append(moment(kit))
    for one, other in pairwise(moments):
        for node, files in one.held.items():
            assert taken(other, node, files["agent.token"])


def test_a_switch_that_was_cut_in_its_middle_is_done_by_the_next(kit: Kit) -> None:
    file = file_of(kit, "fleet")
    file.propose(Secret("the-new-fleet-key"))
    file.previous.write_text("the-old-fleet-key\n")  # as far as it came
    file.previous.chmod(0o600)
    assert fits(moment(kit), moment(kit))
    for _ in range(2):
        file.switch()
        assert file.path.read_text() == "the-new-fleet-key\n"
        assert file.previous.read_text() == "the-old-fleet-key\n"
        assert not file.next.exists()
    assert {path.stat().st_mode & 0o777 for path in (file.path, file.previous)} == {0o600}
    file.retire()
    file.retire()
    assert [path.name for path in file.path.parent.iterdir() if path.name.startswith("fleet")] == ["fleet.key"]


def test_a_value_that_is_the_old_one_is_no_change(kit: Kit) -> None:
    with pytest.raises(UsageError, match="the old one"):
        file_of(kit, "fleet").propose(Secret("the-old-fleet-key"))


@pytest.mark.parametrize("reference", ["env:X", "keyring:a/b", "op://v/i/f", "sops:f#k"])
def test_what_another_program_keeps_is_changed_there(kit: Kit, reference: str) -> None:
    with pytest.raises(UsageError, match="another program") as caught:
        key_file(reference, kit.project.root, users="front-1,mini-1")
    assert "fleet deploy --refresh-secrets --on 'front-1,mini-1'" in caught.value.hint
