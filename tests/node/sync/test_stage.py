"""Staging takes in archives that behave, and nothing that reaches outside."""

from __future__ import annotations

import io
import stat
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from sync_kit import Node, a_tar, sha

from fleet.node.sync.blobs import Blobs
from fleet.node.sync.problem import Problem
from fleet.node.sync.stage import Stage
from fleet.node.sync.unpack import unpack
from fleet.vocabulary.contracts.desired import Blob, DesiredState, Tree, TreeFile


def tar_of(*members: tarfile.TarInfo) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return raw.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "members",
    [
        [entry("/etc/x")],
        [entry("../x")],
        [entry("a/../../x")],
        [entry("a", tarfile.SYMTYPE, link="/etc"), entry("a/x")],
        [entry("a", tarfile.SYMTYPE, link="..")],
        [entry("a/b", tarfile.SYMTYPE, link="../../x")],
        [entry("a", tarfile.SYMTYPE, link="b/../../x")],
        [entry("d", tarfile.DIRTYPE), entry("a", tarfile.SYMTYPE, link="d"), entry("a/x")],
        [entry("a", tarfile.LNKTYPE, link="/etc/passwd")],
        [entry("a", tarfile.LNKTYPE, link="../x")],
        [entry("a", tarfile.FIFOTYPE)],
        [entry("a", tarfile.CHRTYPE)],
    ],
)
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    archive, folder = tmp_path / "a.tar", tmp_path / "folder"
    archive.write_bytes(tar_of(*members))
    folder.mkdir()
    with pytest.raises(Problem):
        unpack(str(archive), str(folder))
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "folder"}


def test_an_archive_that_behaves_is_unpacked_with_links_and_modes(tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.tar", tmp_path / "folder"
    archive.write_bytes(
        tar_of(
            entry("bin", tarfile.DIRTYPE, mode=0o777),
            entry("bin/python3.12", mode=0o4777),
            entry("bin/python3", tarfile.SYMTYPE, link="python3.12"),
            entry("lib/deep/x"),
            entry("lib/up", tarfile.SYMTYPE, link="../bin/python3"),
            entry("lib/hard", tarfile.LNKTYPE, link="lib/deep/x"),
        )
    )
    folder.mkdir()
    unpack(str(archive), str(folder))
    assert (folder / "lib" / "up").read_bytes() == b"x"
    assert (folder / "lib" / "hard").read_bytes() == b"x"
    assert stat.S_IMODE((folder / "bin" / "python3.12").stat().st_mode) == 0o755


@pytest.mark.parametrize("raw", [b"no tar", a_tar({"a": b"1" * 5000})[:3000]])
def test_a_broken_archive_is_a_problem_and_leaves_no_tree(tmp_path: Path, raw: bytes) -> None:
    node = Node(tmp_path)
    tree = Tree(task="t", role="env", name="n", path=node.layout.env("0" * 64), archive=sha(raw))
    release = node.release().add(tree)
    release.contents[sha(raw).digest] = raw
    with pytest.raises(Problem):
        node.stage(release)
    assert not Path(tree.path).exists()


def test_weights_move_into_place_and_a_file_of_two_trees_is_in_both(tmp_path: Path) -> None:
    node = Node(tmp_path)
    shared, weights = b"tokens", b"w" * 1000
    release = node.release()
    for name in ("one", "two"):
        files = (TreeFile(path="sub/tokenizer.json", blob=release.blob(shared)),
                 TreeFile(path="model.safetensors", blob=release.blob(weights + name.encode())),
                 TreeFile(path="again.json", blob=release.blob(shared)))  # fmt: skip
        path = node.layout.model(name, "0" * 64)
        release.add(Tree(task="t", role="model", name=name, path=path, files=files))
    node.stage(release)
    for name in ("one", "two"):
        folder = Path(node.layout.model(name, "0" * 64))
        assert (folder / "sub" / "tokenizer.json").read_bytes() == shared
        assert (folder / "again.json").read_bytes() == shared
        assert (folder / "model.safetensors").read_bytes() == weights + name.encode()
    assert list(Path(node.layout.root, "blobs").iterdir()) == []
    assert Blobs(machine=node.machine, state=release.state).missing() == ()


def test_bytecode_is_compiled_for_the_final_path(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = node.release().tree("node", {"pkg/m.py": b"x = 1\n", "pkg/old.py": b"print 1\n"})
    (tree,) = release.items
    assert isinstance(tree, Tree)
    release.items = [replace(tree, compile=True, interpreter=sys.executable)]
    ran: list[tuple[str, ...]] = []
    node.mac.programs[sys.executable] = lambda words: ran.append(words) or type(node.mac.run(("x",)))(code=1)
    node.stage(release)
    (words,) = ran
    assert words[1:6] == ("-I", "-S", "-m", "compileall", "-q")
    assert words[words.index("-p") + 1] == tree.path


def test_a_plist_that_is_none_never_becomes_live(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = node.release().daemon("agent", plist=sha(b"<plist"))
    release.contents[sha(b"<plist").digest] = b"<plist"
    with pytest.raises(Problem) as refused:
        node.stage(release)
    assert refused.value.code == "plist"


def test_too_little_space_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    node = Node(tmp_path)
    blob = Blob(digest="sha256:" + "0" * 64, size=1 << 50)
    tree = Tree(task="t", role="env", name="n", path=node.layout.env("0" * 64), archive=blob)
    state = DesiredState(node="n", layout=node.layout, interpreter="/x", items=(tree,))
    blobs = Blobs(machine=node.machine, state=state)
    with pytest.raises(Problem) as refused:
        blobs.require_space(blobs.missing())
    assert refused.value.code == "space"


def test_staging_twice_is_the_same(tmp_path: Path) -> None:
    node = Node(tmp_path)
    release = node.release().tree("node", {"a": b"1"}).file(node.layout.etc("x"), "x")
    node.stage(release)
    Stage(machine=node.machine, state=release.state).run()
