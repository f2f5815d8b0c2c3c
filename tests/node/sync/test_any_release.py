"""From any release to any other, over any drift: the node becomes it, and then there is nothing to do."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sync_kit import Node, Release, sha

from fleet.vocabulary.contracts.desired import Pmset

SHOW = bool(os.environ.get("FLEET_SHOW"))
NAMES = ("a", "b", "c")
SERVICES = ("agent", "gateway", "sidecar.x")


@dataclass(frozen=True)
class Shape:
    """A small release: texts of files, and per daemon its argument, port, and the files it restarts or reloads on."""

    texts: dict[str, str]
    daemons: dict[str, tuple[str, int, str | None, str | None]]
    sleep: int | None
    env: str | None

    def build(self, node: Node) -> Release:
        release = node.release().directory(f"{node.layout.root}/etc")
        for name, text in self.texts.items():
            release.file(node.layout.etc(name), text)
        if self.sleep is not None:
            release.add(Pmset(task="t", settings={"sleep": self.sleep}))
        if self.env is not None:
            release.tree("node", {"m.py": self.env.encode()})
        used: set[int] = set()
        for service, (word, port, restart, reload) in self.daemons.items():
            ports = () if port in used else (port,)
            used.add(port)
            words = [word, *(f"--port={each}" for each in ports)]
            release.daemon(
                service, *words, ports=ports, inputs=self._watched(node, restart), reload=self._watched(node, reload)
            )
        return release

    def _watched(self, node: Node, name: str | None) -> dict[str, str]:
        if name is None or name not in self.texts:
            return {}
        return {node.layout.etc(name): sha(self.texts[name].encode()).digest}


shapes = st.builds(
    Shape,
    texts=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2"])),
    daemons=st.dictionaries(
        st.sampled_from(SERVICES),
        st.tuples(
            st.sampled_from(["v1", "v2"]),
            st.sampled_from([8001, 8002, 8003]),
            st.none() | st.sampled_from(NAMES),
            st.none() | st.sampled_from(NAMES),
        ),
    ),
    sleep=st.none() | st.integers(0, 1),
    env=st.none() | st.sampled_from(["x", "y"]),
)
drifts = st.lists(st.sampled_from(["edit", "mode", "delete", "bootout", "pend", "plist", "unlink plist"]), max_size=3)


def meddle(node: Node, drift: str) -> None:
    """Somebody was here."""
    etc = sorted(Path(node.layout.root, "etc").glob("?"))
    plists = sorted(Path(node.layout.daemons_dir).glob("*.plist"))
    jobs = sorted(node.mac.jobs)
    match drift:
        case "edit" if etc:
            etc[0].write_text("meddled")
        case "mode" if etc:
            etc[-1].chmod(0o600)
        case "delete" if etc:
            etc[0].unlink()
        case "bootout" if jobs:
            del node.mac.jobs[jobs[0]]
        case "pend" if jobs:
            node.mac.crash(jobs[-1])
        case "plist" if plists:
            plists[0].write_bytes(plists[0].read_bytes() + b"\n")
        case "unlink plist" if plists:
            plists[-1].unlink()


@settings(max_examples=200 if SHOW else 40, deadline=None)
@given(first=shapes, second=shapes, drift=drifts)
def test_a_node_becomes_any_release_from_any_other(first: Shape, second: Shape, drift: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        node = Node(Path(place))
        assert node.deploy(first.build(node)) == "committed"
        assert node.plan(first.build(node)) == ()
        for each in drift:
            meddle(node, each)
        wanted = second.build(node)
        assert node.deploy(wanted) == "committed", node.events()
        assert node.plan(wanted) == ()
        state = wanted.state
        assert set(node.mac.jobs) == {item.label for item in state.daemons}
        for item in state.daemons:
            job = node.mac.jobs[item.label]
            assert job.raw == wanted.contents[item.plist.digest]
            for path in {*item.inputs, *item.reload}:
                assert job.seen[path] == Path(path).read_bytes()
        assert {path.name for path in Path(node.layout.root, "etc").iterdir()} == set(second.texts)
        assert list(Path(node.layout.daemons_dir).glob("*.new")) == []


@settings(max_examples=200 if SHOW else 40, deadline=None)
@given(first=shapes, second=shapes, drift=drifts)
def test_a_release_that_fails_gives_any_release_back_whole(first: Shape, second: Shape, drift: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        node = Node(Path(place))
        good = first.build(node)
        assert node.deploy(good) == "committed"
        for each in drift:
            meddle(node, each)
        assert node.deploy(second.build(node).daemon("last", program="/nowhere")) == "reverted", node.events()
        assert "78: EX_CONFIG" in node.end().text
        assert node.plan(good) == ()
        assert set(node.mac.jobs) == {item.label for item in good.state.daemons}
        for item in good.state.daemons:
            job = node.mac.jobs[item.label]
            assert job.raw == good.contents[item.plist.digest]
            assert job.pid is not None
