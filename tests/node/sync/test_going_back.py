"""History, drift and rollback: a laptop's questions and a real node, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import pytest
from sync_kit import GROUP, USER, Node, Release, adopted
from test_moved_since_shown import deploy

from fleet.cli import drift as drift_verb
from fleet.cli import history as history_verb
from fleet.control.actions.asking import Answer, Asking
from fleet.control.actions.deploy import Prepared, Wanted
from fleet.control.actions.drift import Drifted, drifts
from fleet.control.actions.history import histories
from fleet.control.actions.rollback import prepare_rollback
from fleet.control.playbook import Playbook
from fleet.control.playbook.playbook import Play
from fleet.control.playbook.strategy import Pace
from fleet.control.rollout.batches import Batch
from fleet.control.rollout.conversation import SyncPart
from fleet.control.rollout.plan import node_plan
from fleet.control.rollout.runrecord import RunRecord
from fleet.control.rollout.walk import Walk
from fleet.control.supply.cache import Cache
from fleet.errors import FleetError, NodeError, Unreachable
from fleet.node.sync import releases
from fleet.node.sync.frames import Wire
from fleet.node.sync.machine import Ran
from fleet.node.sync.session import Session
from fleet.testing.clock import FakeClock
from fleet.testing.inventories import inventory_of
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts.desired import Blob, Command, File, Pmset, Tree
from fleet.vocabulary.contracts.questions import History
from fleet.vocabulary.contracts.sync import Commit, Progress
from fleet.vocabulary.names import RunId

INVENTORY = inventory_of("all: {hosts: {mini-1: {host_key: ssh-ed25519 AAAA, edge_key: x}, mini-2: {host_key: k}}}")
PLAYBOOK = Playbook(path=Path("site.yml"), plays=(Play(name="all", hosts="all", place="site.yml:1:1"),))
SALTED = Blob(digest="hmac-sha256:" + "5" * 64, size=7)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return adopted(tmp_path)


@pytest.fixture
def asking(node: Node, tmp_path: Path) -> Asking:
    """mini-1 is the node; mini-2 does not answer."""

    def serve(command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
        state_id, run_id = command.split(" sync 1 ", 1)[1].split()[:2]
        return Session(machine=node.machine, wire=Wire(stdin, stdout), state_id=state_id, run_id=run_id).run()

    link = FakeLink({"mini-1": FakeSession(serve, node="mini-1")})
    return Asking(link=link, base=tmp_path, sync=SyncPart(digest="0" * 64, content=b""), clock=FakeClock())


def a_release(node: Node, text: str) -> Release:
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), text)
    return release.add(Pmset(task="t", settings={"sleep": 0})).daemon("agent")


def look(asking: Asking, *, verify: bool = False) -> Answer[Drifted]:
    (answer,) = drifts([INVENTORY.node("mini-1")], asking, verify=verify)
    return answer


def going_back(asking: Asking, tmp_path: Path, *names: str, to: str | None = None) -> Prepared:
    nodes = [INVENTORY.node(name) for name in names or ("mini-1",)]
    cache = Cache(tmp_path / "cache")
    return prepare_rollback(INVENTORY, PLAYBOOK, nodes, to=to, wanted=Wanted(), asking=asking, cache=cache)


def test_a_node_as_deployed_has_no_drift_and_is_not_changed(node: Node, asking: Asking) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    live = releases.current_id(node.machine)
    node.mac.typed.clear()
    answer = look(asking)
    assert answer.said is not None
    assert (answer.said.clean, answer.said.release) == (True, live)
    assert {words[1] for words in node.mac.typed if words[0].endswith("launchctl")} <= {"print", "print-disabled"}
    assert drift_verb.lines(answer) == [f"mini-1: as deployed (release {live[:12] if live else ''})"]


def test_a_node_that_was_never_deployed_to_says_so(asking: Asking) -> None:
    assert drift_verb.lines(look(asking)) == ["mini-1: nothing was deployed"]


def test_every_drift_is_named_with_what_is_there_and_who_wrote_it(node: Node, asking: Asking) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    path = Path(node.layout.etc("a"))
    path.write_text("by hand")
    path.chmod(0o600)
    node.mac.disabled[node.layout.label("agent")] = True
    node.mac.run(("/usr/bin/pmset", "-a", "sleep", "7"))
    answer = look(asking)
    assert answer.said is not None
    assert not answer.said.clean
    found = {one.key.partition(":")[0]: one for one in answer.said.drifts}
    assert found["file"].what == "its content is not the deployed one"
    assert found["file"].written is not None
    assert found["file"].written.owner == USER
    assert "deployed as" in found["pmset"].what
    assert "disabled" in found["daemon"].what
    assert path.read_text() == "by hand"
    text = "\n".join(drift_verb.lines(answer))
    assert "mini-1: 3 things drifted" in text
    assert f"owner {USER}" in text


def test_a_mode_is_told_as_it_is_and_as_it_was_deployed(node: Node, asking: Asking) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    Path(node.layout.etc("a")).chmod(0o600)
    (one,) = look(asking).said.drifts  # type: ignore[union-attr]
    assert one.what == "mode is 0600, deployed as 0644"


def test_a_command_whose_check_fails_may_have_drifted(node: Node, asking: Asking) -> None:
    command = Command(task="t", name="look", argv=("/bin/look",), user=USER, creates=f"{node.layout.root}/made")
    made = Path(node.layout.root, "made")

    def make(_: tuple[str, ...]) -> Ran:
        made.touch()
        return Ran(code=0)

    node.mac.programs["/bin/look"] = make
    assert node.deploy(a_release(node, "one").add(command)) == "committed"
    made.unlink()
    (one,) = look(asking).said.drifts  # type: ignore[union-attr]
    assert one.may
    assert one.what == f"{made} is not there"


def test_a_walk_tells_how_far_it_is_by_bytes_of_trees(node: Node, asking: Asking) -> None:
    release = a_release(node, "one").tree("node", {"a.py": b"1", "b.py": b"22"}).tree("mlx", {"c.py": b"333"})
    assert node.deploy(release) == "committed"
    heard: list[Progress] = []
    nodes = [INVENTORY.node("mini-1")]
    (answer,) = drifts(nodes, asking, verify=True, told=lambda _, progress: heard.append(progress))
    assert answer.said is not None
    assert answer.said.clean
    trees = [item.key for item in release.items if isinstance(item, Tree)]
    assert [one.what for one in heard] == trees, "each when it begins, then twice a second at most"
    assert [one.total for one in heard] == [6, 6]
    assert [one.done for one in heard] in ([0, 3], [0, 2]), "in the order of the state"


def test_verify_reads_what_no_deploy_reads(node: Node, asking: Asking) -> None:
    release = a_release(node, "one").tree("node", {"a.py": b"1", "b.py": b"2"})
    assert node.deploy(release) == "committed"
    tree = next(Path(item.path) for item in release.items if isinstance(item, Tree))
    assert look(asking, verify=True).said.clean  # type: ignore[union-attr]
    (tree / "a.py").write_bytes(b"9")
    assert look(asking).said.clean  # type: ignore[union-attr]
    answer = look(asking, verify=True)
    assert answer.said is not None
    assert not answer.said.clean
    assert any(f"{tree}/a.py changed" in line for line in drift_verb.lines(answer))
    Path(node.layout.etc("a")).write_text("by hand")
    assert "2 things drifted" in drift_verb.lines(look(asking, verify=True))[0]  # each once


def test_history_names_each_release_the_live_one_first(node: Node, asking: Asking) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    first = releases.current_id(node.machine) or ""
    assert node.deploy(a_release(node, "two")) == "committed"
    second = releases.current_id(node.machine) or ""
    releases.mark_bad(node.machine, first, "agent has no process\nlast words")
    (answer,) = histories([INVENTORY.node("mini-1")], asking)
    assert isinstance(answer.said, History)
    assert [one.state_id for one in answer.said.releases] == [second, first]
    head, live, before = history_verb.lines(answer)
    assert head == "mini-1"
    assert live.startswith(f"  * {second[:12]}")
    assert live.endswith("live")
    assert "committed" in live
    assert before.endswith("failed here: agent has no process")


def test_a_rollback_wants_exactly_what_the_node_has_kept(node: Node, asking: Asking, tmp_path: Path) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    first = releases.current_id(node.machine) or ""
    assert node.deploy(a_release(node, "two")) == "committed"
    prepared = going_back(asking, tmp_path)
    (job,) = prepared.jobs
    assert job.compiled.state.state_id == first
    assert (prepared.action, dict(job.contents)) == ("rollback", {})
    (again,) = going_back(asking, tmp_path, to=first[:8]).jobs
    assert again.compiled.state.state_id == first
    assert Path(node.layout.etc("a")).read_text() == "two"


def test_a_rollback_shows_what_texts_become_and_nothing_of_a_secret(node: Node, asking: Asking, tmp_path: Path) -> None:
    def release(text: str, words: bytes) -> Release:
        made = a_release(node, text)
        token = File(
            task="t",
            path=node.layout.etc("token"),
            blob=made.blob(words),
            mode=0o600,
            owner=USER,
            group=GROUP,
            sensitive=True,
        )
        return made.add(token)

    assert node.deploy(release("speed = 1\n", b"hidden-1")) == "committed"
    assert node.deploy(release("speed = 2\n", b"hidden-2")) == "committed"
    (job,) = going_back(asking, tmp_path).jobs
    observed = asking.one(INVENTORY.node("mini-1"), lambda _node, talk, _hello: talk.observe(job.compiled.state))
    plan = node_plan(job.name, job.compiled, observed)
    diffs = {change.step.key: change.diff for change in plan.changes}
    assert diffs[f"file:{node.layout.etc('a')}"] == ("@@ -1 +1 @@", "-speed = 2", "+speed = 1")
    assert "hidden-" not in str(diffs) + str(job)
    assert diffs[f"file:{node.layout.etc('token')}"] == ("content: (secret) changed",)


def test_a_rollback_that_goes_on_wants_what_it_began_with_whatever_came_since(
    node: Node, asking: Asking, tmp_path: Path
) -> None:
    for text in ("one", "two", "three"):
        assert node.deploy(a_release(node, text)) == "committed"
    first = a_release(node, "one").state.state_id
    mini = INVENTORY.node("mini-1")
    walk = Walk(batches=(Batch(play="all", nodes=(mini.name,), pace=Pace()),))
    left = RunRecord(
        run_id=RunId("r1"), began_at="", operator="", playbook="site.yml", fleet_version="", walk=walk,
        action="rollback", states={mini.name: first},
    )  # fmt: skip
    cache = Cache(tmp_path / "cache")
    wanted = Wanted(resume=left)
    (job,) = prepare_rollback(INVENTORY, PLAYBOOK, [mini], to=None, wanted=wanted, asking=asking, cache=cache).jobs
    assert job.compiled.state.state_id == first


def test_a_node_that_does_not_answer_is_told_and_stops_no_other(node: Node, asking: Asking, tmp_path: Path) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    assert node.deploy(a_release(node, "two")) == "committed"
    prepared = going_back(asking, tmp_path, "mini-2", "mini-1")
    assert [job.name for job in prepared.jobs] == ["mini-1"]
    assert isinstance(prepared.lost[INVENTORY.node("mini-2").name], Unreachable)


@pytest.mark.parametrize("to", [None, "0" * 12])
def test_a_release_that_is_not_there_is_refused(node: Node, asking: Asking, tmp_path: Path, to: str | None) -> None:
    assert node.deploy(a_release(node, "one")) == "committed"
    with pytest.raises(NodeError, match=r"no release was live before|no kept release"):
        going_back(asking, tmp_path, to=to)


def test_a_secret_that_the_node_no_longer_keeps_is_named_and_refused(
    node: Node, asking: Asking, tmp_path: Path
) -> None:
    path = node.layout.etc("key")
    secret = File(task="t", path=path, blob=SALTED, mode=0o600, owner=USER, group=GROUP)
    kept = a_release(node, "one").add(secret).state
    releases.save(node.machine, kept)
    assert node.deploy(a_release(node, "two")) == "committed"
    with pytest.raises(FleetError) as refused:
        going_back(asking, tmp_path, to=kept.state_id)
    assert "contents of it are gone" in refused.value.text
    assert f"gone: file {path} (secret)" in refused.value.text
    assert "fleet deploy --force --on mini-1" in refused.value.text


def test_a_content_that_only_the_laptop_still_has_is_sent(node: Node, asking: Asking, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    release = node.release().directory(f"{node.layout.root}/etc").file(node.layout.etc("a"), "kept on the laptop")
    releases.save(node.machine, release.state)
    blob = cache.add(b"kept on the laptop")
    assert node.deploy(a_release(node, "two")) == "committed"
    (job,) = going_back(asking, tmp_path, to=release.state.state_id).jobs
    assert dict(job.contents) == {blob.digest: cache.blob_path(blob.digest)}


def test_a_release_that_is_gone_back_to_comes_from_where_it_came_from(node: Node, asking: Asking) -> None:
    for run, text in (("a", "one"), ("b", "two")):
        deploy(node, a_release(node, text), None, Commit(run_id=run, git_commit=run * 40, git_dirty=run == "a"))
    deploy(node, a_release(node, "one"), None, Commit(run_id="c", action="rollback", operator="me@here"))
    hello = asking.one(INVENTORY.node("mini-1"), lambda _node, _talk, hello: hello)
    assert (hello.git_commit, hello.git_dirty) == ("a" * 40, True)
    (answer,) = histories([INVENTORY.node("mini-1")], asking)
    live = history_verb.lines(answer)[1]
    assert "rollback" in live
    assert "me@here" in live
    assert f"git {'a' * 12} with changes" in live
