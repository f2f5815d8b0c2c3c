"""What a laptop may ask a node: which releases it keeps, one of them back, and whether anything was tampered with."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sync_kit import Node, adopted
from test_session import a_release, deploy, frame, of, talk

from fleet.node.sync import releases
from fleet.node.sync.leases import Leases
from fleet.node.sync.unpack import MANIFEST
from fleet.vocabulary.contracts.desired import Tree, TreeFile
from fleet.vocabulary.contracts.questions import History, ReadHistory, Recall, Recalled, Verified, Verify
from fleet.vocabulary.contracts.sync import Bye, Commit, Desired, Done, Failed, Held, Hold, Observed


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


def test_history_shows_the_live_release_first_and_who_made_each_live(node: Node) -> None:
    assert of(History, talk(node, frame(ReadHistory()))).releases == ()
    one, two, three = (a_release(node, text) for text in ("one", "two", "three"))
    for number, release in enumerate((one, two, three, one), 1):
        assert of(Done, deploy(node, release, f"r{number}")).outcome == "committed"
    theft = Hold(holder="bob", steal=True)
    Leases(machine=node.machine).take("gone", Hold(holder="ann"))
    assert of(Held, talk(node, frame(theft) + frame(Bye()))).stolen_from is not None
    bad = node.release().daemon("agent", program="/nowhere")
    assert of(Done, deploy(node, bad, "r5")).outcome == "reverted"
    kept = of(History, talk(node, frame(ReadHistory()))).releases
    assert [one.made_live.run_id if one.made_live else None for one in kept] == ["r4", "r3", "r2", None]
    assert [one.live for one in kept] == [True, False, False, False]
    assert kept[-1].state_id == bad.state.state_id
    assert "EX_CONFIG" in (kept[-1].bad or "")


def test_a_rollback_is_a_deploy_of_what_the_node_gives_back(node: Node) -> None:
    one, two = a_release(node, "one"), a_release(node, "two")
    deploy(node, one, "r1")
    deploy(node, two, "r2")
    recalled = of(Recalled, talk(node, frame(Recall()))).state
    assert recalled == one.state
    said = talk(
        node,
        frame(Recall()) + frame(Desired(state=recalled)) + frame(Commit(run_id="r3", action="rollback", operator="a")),
        run_id="r3",
    )
    assert of(Observed, said).missing == ()
    assert of(Done, said).outcome == "committed"
    assert node.plan(one) == ()
    assert of(Recalled, talk(node, frame(Recall(state_id=two.state.state_id[:8])))).state == two.state
    history = of(History, talk(node, frame(ReadHistory()))).releases
    assert history[0].made_live is not None
    assert history[0].made_live.action == "rollback"


@pytest.mark.parametrize(
    ("wish", "title"),
    [
        (Recall(), "no release was live before this one"),
        (Recall(state_id="ffff"), "no kept release begins with ffff"),
        (Recall(state_id=""), "no kept release begins with "),
    ],
)
def test_what_is_not_kept_cannot_be_recalled(node: Node, wish: Recall, title: str) -> None:
    deploy(node, a_release(node), "r1")
    failed = of(Failed, talk(node, frame(wish)))
    assert (failed.code, failed.title) == ("no_release", title)


def test_a_walk_finds_what_was_changed_taken_away_or_put_in(node: Node) -> None:
    assert of(Verified, talk(node, frame(Verify()))) == Verified()
    weights = b"weights"
    release = a_release(node)
    path = node.layout.model("m", hashlib.sha256(weights).hexdigest())
    blob = release.blob(weights)
    release.add(Tree(task="t", role="model", name="m", path=path, files=(TreeFile(path="w.bin", blob=blob),)))
    assert of(Done, deploy(node, release)).outcome == "committed"
    whole = of(Verified, talk(node, frame(Verify())))
    assert (whole.state_id, whole.flaws, whole.unknown) == (release.state.state_id, (), ())
    assert whole.files == 4
    assert whole.size_bytes > len(weights)
    (env,) = [Path(item.path) for item in release.items if isinstance(item, Tree) and item.role == "env"]
    (env / "a.py").write_text("import evil\n")
    (env / "new.py").write_text("x")
    (env / "__pycache__").mkdir(exist_ok=True)
    (env / "__pycache__" / "a.cpython-313.pyc").write_bytes(b"made here")
    Path(path, "w.bin").unlink()
    Path(node.layout.etc("a.json")).write_text("meddled")
    flaws = {flaw.path: flaw.why for flaw in of(Verified, talk(node, frame(Verify()))).flaws}
    assert flaws == {
        f"{env}/a.py": "changed",
        f"{env}/new.py": "nobody deployed it",
        f"{path}/w.bin": "missing",
        node.layout.etc("a.json"): "changed",
    }
    (env / MANIFEST).unlink()
    assert of(Verified, talk(node, frame(Verify()))).unknown == ("tree:env:node",)
    assert releases.current_id(node.machine) == release.state.state_id
