"""Models to nodes and back: pulled from this laptop into a real sync, listed, and whether one would fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO

import pytest

from fleet.cli.main import main
from fleet.cli.modelview import fit_lines, listing, shown_name, why
from fleet.cli.tenths import Tenths
from fleet.control.actions.asking import Asking
from fleet.control.actions.modellist import NodeModels, list_models
from fleet.control.actions.modelnames import ModelBook
from fleet.control.actions.modelpull import Puller
from fleet.control.desired.modelfit import Answer
from fleet.control.inventory import Node, load_inventory
from fleet.control.inventory.project import Project
from fleet.control.rollout.conversation import SyncPart
from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder, manifest_text
from fleet.errors import NotAdopted, SupplyError, UsageError
from fleet.node.sync.frames import Wire
from fleet.node.sync.session import Session
from fleet.testing.clock import FakeClock
from fleet.testing.link import FakeLink, FakeSession
from fleet.vocabulary.contracts.questions import Models, StoredModel
from fleet.vocabulary.names import NodeName
from tests.node.sync.sync_kit import Node as Mac
from tests.node.sync.sync_kit import adopted

SYNC = SyncPart(digest="0" * 64, content=b"")
GIB = 2**30


class Bench:
    """A project with one model, and one adopted node that a real sync speaks for."""

    def __init__(self, place: Path) -> None:
        self.mac: Mac = adopted(place / "mac")
        layout = self.mac.layout
        root = place / "project"
        (root / "inventory").mkdir(parents=True)
        mine = {
            "host_key": "ssh-ed25519 AAAA",
            "root": layout.root,
            "daemons_dir": layout.daemons_dir,
        }
        (root / "inventory" / "fleet.yml").write_text(json.dumps({"all": {"hosts": {"mini-1": mine, "mini-2": {}}}}))
        self.project = Project(root, root / "inventory" / "fleet.yml")
        self.cache = Cache(place / "cache")
        self.weights = place / "weights"
        self.weights.mkdir()
        (self.weights / "config.json").write_text("{}")
        (self.weights / "a.safetensors").write_bytes(b"w" * 3_000_000)
        self.manifest = lock_folder(self.weights, name="qwen", cache=self.cache).manifest
        (root / "models").mkdir()
        (root / "models" / "qwen.json").write_text(manifest_text(self.manifest))
        self.sent: list[tuple[str, int, int]] = []
        self.link = FakeLink({"mini-1": FakeSession(self._serve, node="mini-1")})

    def _serve(self, command: str, stdin: BinaryIO, stdout: BinaryIO) -> int:
        assert " sync 1 - " in command
        wire = Wire(stdin, stdout)
        return Session(machine=self.mac.machine, wire=wire, state_id="-", run_id="r1").run()

    def nodes(self) -> list[Node]:
        return list(load_inventory(self.project).nodes.values())

    def asking(self) -> Asking:
        return Asking(link=self.link, base=self.project.root, sync=SYNC, clock=FakeClock())

    def puller(self) -> Puller:
        return Puller(
            project=self.project,
            asking=self.asking(),
            cache=self.cache,
            notify=lambda _: None,
            progress=lambda *told: self.sent.append(told),
        )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    layout = bench.mac.layout
    monkeypatch.setattr("fleet.control.inventory.settings.NodeSettings.layout", lambda _: layout, raising=False)
    return bench


def test_a_pull_sends_what_the_node_lacks_once_and_the_list_shows_it(bench: Bench) -> None:
    nodes = bench.nodes()[:1]
    (first,) = bench.puller().pull("qwen", nodes, {NodeName("mini-1"): bench.manifest})
    assert first.error is None
    assert first.sent_bytes == sum(file.size_bytes for file in bench.manifest.files)
    assert first.path == bench.mac.layout.model("qwen", bench.manifest.digest)
    assert Path(first.path, "a.safetensors").read_bytes() == (bench.weights / "a.safetensors").read_bytes()
    assert bench.sent[-1] == ("mini-1", first.sent_bytes, first.sent_bytes)
    (again,) = bench.puller().pull("qwen", nodes, {NodeName("mini-1"): bench.manifest})
    assert (again.error, again.sent_bytes) == (None, 0)
    (seen,) = list_models(nodes, bench.asking())
    assert [one.name for one in seen.models.models] == [first.path.rpartition("/")[2]]


def test_weights_that_are_nowhere_and_a_node_that_was_never_adopted_are_told(bench: Bench) -> None:
    (bench.weights / "a.safetensors").unlink()
    both = {NodeName(name): bench.manifest for name in ("mini-1", "mini-2")}
    found = {one.node: one.error for one in bench.puller().pull("qwen", bench.nodes(), both)}
    assert isinstance(found[NodeName("mini-1")], SupplyError)
    assert isinstance(found[NodeName("mini-2")], NotAdopted)
    assert not Path(bench.mac.layout.root, "models").exists()


def test_a_name_without_a_manifest_says_how_to_make_one(bench: Bench) -> None:
    book = ModelBook(project=bench.project, books={}, rosters={}, manifests={})
    assert book.manifest("qwen") == bench.manifest
    with pytest.raises(UsageError) as refused:
        book.manifest("llama")
    assert "fleet model lock" in refused.value.hint


STORED = StoredModel(name="org--qwen@0123456789abcdef", size_bytes=2 * GIB)


def test_a_listing_says_why_weights_are_there() -> None:
    loaded = StoredModel(name=STORED.name, size_bytes=1, live=True, loaded_by=("org.fleet-macs.sidecar.chat",))
    old = StoredModel(name=STORED.name, size_bytes=1, releases=("a" * 64, "b" * 64))
    spared = StoredModel(name=STORED.name, size_bytes=1, spared_seconds=0.0)
    assert [why(one) for one in (loaded, old, spared, STORED)] == [
        "loaded by chat",
        "an older release refers to it: aaaaaaaaaaaa and 1 more",
        "pulled; spared until 01-01 00:00 UTC",
        "nothing refers to it: fleet model gc removes it",
    ]
    assert shown_name(STORED, {"0123456789abcdef": "org/qwen"}) == "org/qwen@01234567"
    head, row = listing([NodeModels(node=NodeName("m"), models=Models(models=(STORED,)))], {}, now_seconds=0.0)
    assert head.split()[:4] == ["NODE", "MODEL", "SIZE", "USED"]
    assert row.index("-") == head.index("USED") or "org--qwen@01234567" in row


def test_a_fit_that_fails_shows_its_arithmetic_and_one_that_holds_only_when_asked() -> None:
    good = Answer(node=NodeName("a"), fits=True, tight=True, needed_bytes=9 * GIB, limit_bytes=10 * GIB, text="sum")
    bad = Answer(node=NodeName("b"), fits=False, text="sum 2\n1 too much")
    unknown = Answer(node=NodeName("c"), fits=None, text="no memory_gb")
    lines = list(fit_lines([good, bad, unknown], arithmetic=False))
    assert lines[0].startswith("a: fits, ")
    assert "tight" in lines[0]
    assert lines[1:] == ["b: does not fit", "  sum 2", "  1 too much", "c: not known", "  no memory_gb"]
    assert list(fit_lines([good], arithmetic=True))[1] == "  sum"


def test_large_transfers_are_told_by_tenths_and_small_ones_not() -> None:
    said: list[str] = []
    steps = Tenths(said.append, large_bytes=100)
    for done in range(0, 1001, 7):
        steps.tell("m", done, 1000)
    steps.tell("n", 50, 50)
    assert len(said) == 9
    assert all(line.startswith("m: ") for line in said)


def fleet(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return ended.value.code, said.out, said.err


def test_fit_counts_the_model_beside_what_the_playbook_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inventory").mkdir()
    hosts = {"small": {"memory_gb": 8}, "large": {"memory_gb": 64}, "odd": {}}
    (tmp_path / "inventory" / "fleet.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "playbooks").mkdir()
    tasks = [{"name": "m", "model": {"name": "busy"}}]
    (tmp_path / "playbooks" / "site.yml").write_text(json.dumps([{"name": "p", "hosts": "all", "tasks": tasks}]))
    (tmp_path / "models").mkdir()
    for name in ("busy", "new"):
        document = {
            "name": name, "source": "hf:a/b@c", "weights_bytes": 6 * GIB, "kv_bytes_per_token": 1000,
            "context_tokens": 1000, "files": [{"path": "a.safetensors", "sha256": "0" * 64, "size_bytes": 6 * GIB}],
        }  # fmt: skip
        (tmp_path / "models" / f"{name}.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    code, out, _ = fleet(["model", "fit", "new"], capsys)
    assert code == 3
    assert "large: fits" in out
    assert "small: does not fit" in out
    assert "odd: not known" in out
    assert fleet(["model", "fit", "new", "large", "--json"], capsys)[0] == 0
    assert fleet(["model", "fit", "new", "large", "--kv-reserve", "80GiB"], capsys)[0] == 1
    assert fleet(["model", "fit", "new", "small"], capsys)[0] == 1
    code, _, err = fleet(["model", "fit", "none"], capsys)
    assert (code, "fleet model lock" in err) == (2, True)
    assert fleet(["model", "fit", "new", "--kv-reserve", "lots"], capsys)[0] == 2
    assert fleet(["model", "pull", "none"], capsys)[0] == 2
    assert fleet(["model", "ls", "large", "--on", "all"], capsys)[0] == 2
