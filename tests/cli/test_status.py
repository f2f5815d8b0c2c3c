"""`fleet status`: goldens that a person can read, and the command on a project whose nodes nobody reaches."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from fleet.cli.main import main
from fleet.cli.statusplain import plain_lines
from fleet.cli.statusview import screen
from fleet.control.watch.rows import Seen, Sighting, view_of
from fleet.control.watch.view import FleetView, Reach
from fleet.vocabulary.contracts.snapshot import Memory, ServiceReading, SidecarReading, Snapshot, Swap, Thermal
from fleet.vocabulary.names import Intent, NodeName
from fleet.vocabulary.units import GIB, MIB

GOLDENS = Path(__file__).parent / "goldens"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class WatchedNode:
    def __init__(self, name: str, *groups: str) -> None:
        self.name, self.groups = NodeName(name), ("all", *groups)


def a_snapshot(node: str, **changes) -> Snapshot:
    names = ("agent", "gateway", "sidecar.chat")
    settings = {
        "node": node,
        "at_seconds": 0.0,
        "agent_version": "0.1.0",
        "readings": "macos",
        "chip": "Apple M4 Pro",
        "memory": Memory(total_bytes=64 * GIB, pressure_level=1, wired_headroom_bytes=21 * GIB + 410 * MIB),
        "swap": Swap(used_bytes=0),
        "thermal": Thermal(pressure_level=0),
        "services": tuple(ServiceReading(name=name, label=name, up=True, pid=1) for name in names),
        "sidecars": (SidecarReading(name="chat", model="smollm2-135m", port=8800, live=True, ready=True),),
    }
    return Snapshot(**{**settings, **changes})


@pytest.fixture
def view() -> FleetView:
    """A bit of everything."""
    sightings: dict[NodeName, Sighting] = {}
    kept: dict[NodeName, Seen] = {}

    def seen(name: str, age: float = 2.0, **changes) -> Seen:
        at = NOW - timedelta(seconds=age)
        return Seen(at=at, snapshot=a_snapshot(name, at_seconds=at.timestamp(), **changes))

    def answered(name: str, **changes) -> None:
        sightings[NodeName(name)] = Sighting(node=NodeName(name), reach=Reach.ANSWERED, seen=seen(name, **changes))

    def failed(name: str, reach: Reach, problem: str, hint: str) -> None:
        sightings[NodeName(name)] = Sighting(node=NodeName(name), reach=reach, problem=problem, hint=hint)

    answered("front-1", sidecars=(), services=(ServiceReading(name="agent", label="a", up=True, pid=1),))
    answered("mini-1")
    answered(
        "mini-2",
        thermal=Thermal(pressure_level=2),
        memory=Memory(pressure_level=2, wired_headroom_bytes=300 * MIB),
        swap=Swap(used_bytes=4 * GIB, swapout_bytes_per_second=310.0 * MIB),
    )
    down = ServiceReading(name="sidecar.chat", label="l", up=False, state="spawn scheduled", runs=7)
    answered("mini-3", services=(down,))
    coder = SidecarReading(name="coder", model="mlx-community/Qwen3-Coder-480B-4bit", port=8801, live=True)
    answered("studio-with-long-name-17", sidecars=(coder,))
    kept[NodeName("mini-4")] = seen("mini-4", 240)
    failed("mini-4", Reach.UNREACHABLE, "cannot reach 10.0.0.4 port 22: no answer in time", "is it powered?")
    failed("mini-5", Reach.NOT_ADOPTED, "not adopted yet", "fleet adopt mini-5")
    kept[NodeName("mini-6")] = seen("mini-6", 30)
    failed("mini-6", Reach.AGENT_SILENT, "port 8791: Connection refused", "fleet logs mini-6 agent")
    nodes = [WatchedNode(name, "front" if name == "front-1" else "mlx") for name in sightings]
    return view_of(nodes, sightings, kept, NOW)


@pytest.fixture
def check_golden(request):
    return lambda name, text: compare(name, text, update=request.config.getoption("--update-goldens"))


def compare(name: str, text: str, *, update: bool) -> None:
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    path = GOLDENS / name
    if update:
        path.write_text(text)
    assert text == path.read_text()


def drawn(view: FleetView, width: int, height: int | None = None, *, unicode: bool = True) -> str:
    console = Console(width=width, height=height, force_terminal=False, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(screen(view, width=width, height=height, unicode=unicode))
    return capture.get()


@pytest.mark.parametrize(("width", "height"), [(80, None), (120, None), (80, 24)])
def test_the_table_is_the_golden_one(view, check_golden, width, height):
    text = drawn(view, width, height)
    check_golden(f"status-{width}x{height or 'any'}.txt", text)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert height is None or len(text.splitlines()) <= height


def test_plain_is_the_golden_one(view, check_golden):
    check_golden("status-plain.txt", "\n".join(plain_lines(view)))


def test_without_unicode_every_state_still_has_a_shape(view):
    text = drawn(view, 80, unicode=False)
    assert all(shape in text for shape in ("+ ok", "! warn", "X CRIT", "? unknown", "o offline", ". new", "X SILENT"))
    assert not set("●▲■○◌·") & set(text)


def changed(view: FleetView, node: str, **changes) -> FleetView:
    rows = [msgspec.structs.replace(row, **changes) if row.node == node else row for row in view.rows]
    return msgspec.structs.replace(view, rows=tuple(rows))


def test_who_said_so_is_told_when_it_was_a_front(view):
    assert " via " not in drawn(view, 120)
    told = changed(changed(view, "mini-1", via="front-1"), "mini-2", via="front-1")
    assert drawn(told, 120).splitlines()[0].startswith("8 nodes  12:00:00 UTC  via front-1  ")
    assert [line for line in plain_lines(told) if " via " in line] == ["mini-1 via front-1", "mini-2 via front-1"]


def test_what_has_lasted_says_for_how_long_and_what_is_over_says_so(view):
    (down,) = next(row for row in view.rows if row.node == "mini-3").concerns
    lasting = msgspec.structs.replace(down, since=NOW - timedelta(minutes=3, seconds=5))
    text = drawn(changed(view, "mini-3", concerns=(lasting,)), 120)
    assert "sidecar.chat is down: spawn scheduled, 7 runs, for 3m 05s" in text
    over = msgspec.structs.replace(lasting, gone_since=NOW - timedelta(seconds=12))
    text = drawn(changed(view, "mini-3", concerns=(over,)), 120)
    assert "7 runs (gone for 12.0 s, still watched)" in text
    assert any("still watched" in line for line in plain_lines(changed(view, "mini-3", concerns=(over,))))


@pytest.mark.parametrize("unicode", [True, False])
def test_a_node_that_is_wanted_out_says_so_and_how_it_comes_back(view, unicode):
    text = drawn(changed(view, "mini-1", intent=Intent.DRAINED), 80, unicode=unicode)
    assert ("◆ drained" if unicode else "V drained") in text
    assert "mini-1  drained: it gets no new work\n    fleet resume mini-1" in text
    text = drawn(changed(view, "mini-1", intent=Intent.DRAINING), 80, unicode=unicode)
    assert ("◇ draining" if unicode else "v draining") in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())


def test_a_drained_node_that_is_sick_shows_both(view):
    text = drawn(changed(view, "mini-3", intent=Intent.DRAINED), 80)
    assert "mini-3         ■ CRIT" in text
    assert "mini-3  drained: it gets no new work" in text


@pytest.mark.parametrize("height", [None, 16])
def test_an_offline_laptop_is_one_line_and_not_as_many_as_there_are_nodes(view, height):
    away = msgspec.structs.replace(view, laptop_problem="it has no way out to any network")
    text = drawn(away, 80, height)
    assert "○ this laptop is offline: it has no way out to any network" in text
    assert "mini-4  cannot reach" not in text
    assert height is None or len(text.splitlines()) <= height
    assert next(plain_lines(away)) == "- problem this laptop is offline: it has no way out to any network"


def test_the_headline_begins_with_the_worst(view):
    first = drawn(view, 120).splitlines()[0]
    assert first.index("CRIT") < first.index("warn") < first.index("ok")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "inventory").mkdir()
    text = "all:\n  children:\n    mlx:\n      hosts:\n        mini-1: {}\n        mini-2: {}\n"
    (tmp_path / "inventory" / "fleet.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


def test_a_project_of_new_nodes_is_all_unreached_and_says_what_to_do(project, capsys):
    assert run("status") == 4
    out = capsys.readouterr().out
    assert "mini-1, mini-2  not adopted yet\n    fleet adopt --all" in out
    assert "2 new" in out


def test_json_is_the_view(project, capsys):
    assert run("status", "--json", "--on", "mini-2") == 4
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == 1
    (row,) = data["rows"]
    assert (row["node"], row["freshness"], row["health"], row["reach"]) == (
        "mini-2",
        "never_seen",
        "unknown",
        "not_adopted",
    )
    assert row["age_seconds"] is None


def test_plain_is_one_fact_a_line(project, capsys):
    assert run("status", "--plain") == 4
    assert "mini-1 freshness never_seen" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--json", "--plain"), "not both"),
        (("--timeout", "soon"), "not a span"),
        (("--timeout", "0"), "above 0"),
        (("--on", "nobody"), "nobody"),
    ],
)
def test_bad_options_are_one_message(project, capsys, words, says):
    assert run("status", *words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_status_leaves_a_book_and_no_event_of_nodes_that_nobody_adopted(project):
    assert run("status") == 4
    kept = project / ".fleet" / "events"
    assert sorted(path.name for path in kept.iterdir()) == [".lock", "state.json"]
