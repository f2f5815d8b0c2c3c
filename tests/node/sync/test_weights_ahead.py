"""Weights ahead of a deploy: the places that a deploy uses, nothing else touched, spared for a while, listed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release, adopted, sha
from test_session import deploy, frame, node, of, talk

from fleet.node.sync import releases
from fleet.node.sync.keeping import PULLED_DAYS
from fleet.node.sync.prune import prune, prune_models
from fleet.vocabulary.contracts.desired import Keep, Tree, TreeFile
from fleet.vocabulary.contracts.frames import FromNode
from fleet.vocabulary.contracts.questions import Collect, Collected, ListModels, Models, Seal, Stow, Stowed, Stowing
from fleet.vocabulary.contracts.sync import BlobPart, Bye, Desired, Failed, Hold, Observed

__all__ = ["node"]

FILES = {"config.json": b"{}", "a.safetensors": b"weights" * 5000, "sub/b.safetensors": b"weights" * 5000}


def weights(node: Node, name: str = "qwen", files: dict[str, bytes] = FILES) -> Tree:
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    listed = tuple(TreeFile(path=path, blob=sha(content)) for path, content in sorted(files.items()))
    return Tree(task="t", role="model", name=name, path=node.layout.model(name, digest), files=listed)


def sent(files: dict[str, bytes] = FILES) -> bytes:
    contents = {sha(content).digest: content for content in files.values()}
    return b"".join(frame(BlobPart(digest=one, offset=0, size=len(raw)), raw) for one, raw in contents.items())


def stow(node: Node, tree: Tree, files: dict[str, bytes] = FILES) -> list[FromNode]:
    return talk(node, frame(Stow(trees=(tree,), holder="ann")) + sent(files) + frame(Seal()))


def serving(node: Node, tree: Tree) -> Release:
    """A release with a sidecar that stands on the weights."""
    release = node.release().daemon("sidecar.qwen", "x", inputs={tree.key: tree.path.rpartition("/")[2]})
    release.contents |= {sha(content).digest: content for content in FILES.values()}
    return release.add(tree)


def models(node: Node) -> Models:
    found: Models = of(Models, talk(node, frame(ListModels())))
    return found


def on_disk(node: Node) -> dict[str, bytes]:
    root = Path(node.layout.root)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def age_mark(node: Node, tree: Tree, days: float) -> None:
    at = node.clock.now().timestamp() - days * 86400
    os.utime(f"{node.layout.state('pulled')}/{tree.path.rpartition('/')[2]}", (at, at))


def test_weights_get_the_place_that_the_deploy_uses_and_it_sends_nothing(node: Node) -> None:
    tree = weights(node)
    said = stow(node, tree)
    stowing = of(Stowing, said)
    assert {one.digest for one in stowing.missing} == {sha(content).digest for content in FILES.values()}
    assert stowing.needed_bytes >= sum(map(len, set(FILES.values())))
    assert of(Stowed, said) == Stowed(paths=(tree.path,), kept_days=PULLED_DAYS)
    assert {path: Path(tree.path, path).read_bytes() for path in FILES} == FILES
    assert releases.current_id(node.machine) is None
    assert not releases.kept_ids(node.machine)
    assert not [words for words in node.mac.typed if words[0].endswith("launchctl") and words[1] != "print"]
    assert not list(Path(node.layout.root, "blobs").iterdir())
    observed = of(Observed, talk(node, frame(Desired(state=serving(node, tree).state)) + frame(Bye())))
    assert not {sha(content).digest for content in FILES.values()} & {one.digest for one in observed.missing}


def test_a_second_pull_is_as_good_as_the_first(node: Node) -> None:
    tree = weights(node)
    stow(node, tree)
    before = on_disk(node)
    said = talk(node, frame(Stow(trees=(tree,))) + frame(Seal()))
    assert of(Stowing, said).missing == ()
    assert of(Stowed, said).paths == (tree.path,)
    after = on_disk(node)
    assert {path for path in before if "lease" not in path} == {path for path in after if "lease" not in path}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(min_value=0.0, max_value=1.0))
def test_a_pull_that_is_cut_anywhere_goes_on_and_never_leaves_half_a_model(
    share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    node = adopted(tmp_path_factory.mktemp("cut"))
    tree = weights(node)
    whole = frame(Stow(trees=(tree,))) + sent() + frame(Seal())
    talk(node, whole[: int(len(whole) * share)])
    assert not Path(tree.path).exists() or {path: Path(tree.path, path).read_bytes() for path in FILES} == FILES
    again = of(Stowing, talk(node, frame(Stow(trees=(tree,))) + frame(Bye())))
    contents = {sha(content).digest: content for content in FILES.values()}
    rest = b"".join(
        frame(BlobPart(digest=one.digest, offset=one.offset, size=len(raw[one.offset :])), raw[one.offset :])
        for one in again.missing
        for raw in [contents[one.digest]]
    )
    talk(node, frame(Stow(trees=(tree,))) + rest + frame(Seal()))
    assert {path: Path(tree.path, path).read_bytes() for path in FILES} == FILES


def test_weights_that_lack_a_file_get_no_place(node: Node) -> None:
    tree = weights(node)
    some = dict(list(FILES.items())[:1])
    failed = of(Failed, talk(node, frame(Stow(trees=(tree,))) + sent(some) + frame(Seal())))
    assert "still missing" in failed.title
    assert not Path(tree.path).exists()


@pytest.mark.parametrize("field", ["role", "path", "archive"])
def test_nothing_but_weights_in_their_own_place_is_taken(node: Node, field: str) -> None:
    tree = weights(node)
    wrong = {
        "role": replace(tree, role="env", path=f"{node.layout.root}/envs/{'a' * 64}"),
        "path": replace(tree, path=f"{node.layout.root}/models/mine"),
        "archive": replace(tree, archive=sha(b"x"), files=()),
    }[field]
    failed = of(Failed, talk(node, frame(Stow(trees=(wrong,))) + frame(Seal())))
    assert failed.code == "unsafe"


def test_a_node_that_a_run_holds_takes_no_weights_and_its_daemons_none_either(node: Node) -> None:
    tree = weights(node)
    from fleet.node.sync.leases import Leases

    Leases(machine=node.machine).take("r9", Hold(holder="bob@home"))
    failed = of(Failed, stow(node, tree))
    assert failed.code == "busy"
    assert "bob@home" in failed.detail


def test_housekeeping_spares_pulled_weights_for_a_week_and_removes_them_then(node: Node) -> None:
    tree = weights(node)
    stow(node, tree)
    deploy(node, node.release().daemon("agent", "one"))
    prune(node.machine, Keep())
    assert Path(tree.path).is_dir()
    age_mark(node, tree, PULLED_DAYS - 0.1)
    assert not prune(node.machine, Keep()).dropped
    age_mark(node, tree, PULLED_DAYS + 0.1)
    gone = {one.path for one in prune(node.machine, Keep()).dropped}
    assert gone == {tree.path, f"{node.layout.state('pulled')}/{tree.path.rpartition('/')[2]}"}
    assert not Path(tree.path).exists()


def test_gc_of_models_removes_weights_alone_and_pulled_ones_when_told(node: Node) -> None:
    tree, other = weights(node), weights(node, "llama", {"a.safetensors": b"other" * 100})
    for text in ("one", "two"):
        deploy(node, node.release().tree("mlx", {"x.py": text.encode()}).daemon("agent", text))
    stow(node, tree)
    stow(node, other, {"a.safetensors": b"other" * 100})
    age_mark(node, other, PULLED_DAYS + 1)
    stale = Path(node.layout.env("e" * 64))
    stale.mkdir()
    would = of(Collected, talk(node, frame(Collect(models_only=True, dry_run=True))))
    assert [(one.path, one.size_bytes > 400) for one in would.dropped] == [(other.path, True)]
    assert Path(other.path).is_dir()
    assert of(Collected, talk(node, frame(Collect(models_only=True)))).dropped == would.dropped
    assert (Path(other.path).exists(), Path(tree.path).exists(), stale.exists()) == (False, True, True)
    assert len(would.kept) == 2
    talk(node, frame(Collect(models_only=True, pulled_too=True)))
    assert not Path(tree.path).exists()
    assert prune_models(node.machine, pulled_too=True).dropped == ()


def test_weights_of_a_kept_release_are_never_removed(node: Node) -> None:
    tree = weights(node)
    stow(node, tree)
    deploy(node, serving(node, tree))
    deploy(node, node.release().daemon("agent", "one"), run_id="r2")
    assert prune_models(node.machine, pulled_too=True).dropped == ()
    assert Path(tree.path).is_dir()


def test_the_list_tells_who_uses_weights_and_since_when_nobody_does(node: Node) -> None:
    tree = weights(node)
    assert models(node).models == ()
    stow(node, tree)
    (pulled,) = models(node).models
    assert (pulled.name, pulled.live, pulled.releases, pulled.loaded_by) == (
        tree.path.rpartition("/")[2],
        False,
        (),
        (),
    )
    assert pulled.size_bytes >= sum(map(len, FILES.values()))
    assert pulled.spared_seconds is not None
    assert pulled.used_seconds is None
    first = serving(node, tree)
    deploy(node, first)
    (live,) = models(node).models
    assert (live.live, live.releases, live.loaded_by) == (
        True,
        (first.state.state_id,),
        (node.layout.label("sidecar.qwen"),),
    )
    assert live.used_seconds == node.clock.now().timestamp()
    node.clock.advance(3600)
    deploy(node, node.release().daemon("agent", "one"), run_id="r2")
    left = node.clock.now().timestamp()
    node.clock.advance(3600)
    (old,) = models(node).models
    assert (old.live, old.releases, old.loaded_by) == (False, (first.state.state_id,), ())
    assert old.used_seconds == pytest.approx(left, abs=60)


def test_half_removed_and_foreign_folders_are_no_models(node: Node) -> None:
    folder = Path(node.layout.root, "models")
    for name in ("mine", "x@0123456789abcdef.removed", "x@0123456789abcdef.new"):
        (folder / name).mkdir(parents=True)
    assert models(node).models == ()
