"""Adopt against a simulated Mac: over real SSH, with a sudo, a visudo and a launchd that may refuse."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import __version__
from fleet.control.actions.adopt import Adopter, Adoption, Stranger
from fleet.control.desired.supplies import InterpreterNeed
from fleet.control.inventory import find_project, load_inventory
from fleet.control.link.fabric_link import FabricLink
from fleet.control.link.frames import FrameReader
from fleet.control.link.protocol import target_of
from fleet.control.rollout.conversation import helper_argv
from fleet.control.supply.cache import Cache
from fleet.control.supply.interpreters import interpreter_key
from fleet.control.supply.nodepart import sync_zipapp
from fleet.control.supply.pack import pack_folder
from fleet.errors import HostKeyError, NodeError, Unreachable
from fleet.sim.simulation import Simulation
from fleet.sim.tree import PASSWORD, NodeTree
from fleet.vocabulary.contracts.sync import Hello
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.secret import Secret


class Bench:
    """One simulated Mac and what adopts it."""

    def __init__(self, folder: Path) -> None:
        self.simulation = Simulation(folder / "sim")
        self.simulation.up(nodes=1, throttle_scale=0.01, exit_scale=0.1)
        self.tree = NodeTree(folder / "sim/nodes/mac-1")
        self.inventory = folder / "sim/inventory/fleet.yml"
        self.cache = Cache(folder / "cache")
        self.asked: list[Stranger] = []
        self.link = FabricLink()

    def adopt(self, *, accept: Callable[[Stranger], bool] = lambda _: True, **changes: object) -> Adoption:
        project = find_project(str(self.inventory))
        overrides = [
            f"{key}={value}" for key, value in changes.items() if key not in {"password", "rekey", "downgrade"}
        ]
        inventory = load_inventory(project, overrides=overrides)

        def ask(stranger: Stranger) -> bool:
            self.asked.append(stranger)
            return accept(stranger)

        adopter = Adopter(
            project=project,
            link=self.link,
            cache=self.cache,
            accept=ask,
            notify=lambda node, text: None,
            password=changes.get("password"),  # type: ignore[arg-type]
            rekey=bool(changes.get("rekey")),
            downgrade=bool(changes.get("downgrade")),
        )
        return adopter.adopt([inventory.node("mac-1")])[0]

    def ready(self, **changes: object) -> Adoption:
        found = self.adopt(**changes)
        assert found.error is None, found.error.text
        return found

    def replace_command(self, name: str, script: str) -> Callable[[], None]:
        path = self.tree.bin / name
        before = path.read_bytes()
        path.write_text(script)
        return lambda: path.write_bytes(before) and None

    def hello(self) -> Hello:
        """What the installed helper answers."""
        node = load_inventory(find_project(str(self.inventory))).node("mac-1")
        session = self.link.connect(target_of(node))
        try:
            helper = helper_argv(node.settings.layout(), sudo=True)
            channel = session.exec(helper.plus("sync", 1, "-", "run-1", sync_zipapp()[0]).text)
            frames = FrameReader(channel, node="mac-1")
            frames.skip_to_magic()
            return frames.read(Hello)
        finally:
            session.close()

    @property
    def drop_in(self) -> Path:
        return self.tree.sudoers / "fleet-mac-1"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("adopt"))
    bench.pristine = bench.inventory.read_text()  # type: ignore[attr-defined]
    yield bench
    bench.link.close()
    bench.simulation.down()


@pytest.fixture
def bench(shared: Bench) -> Bench:
    """The Mac as it was before it was ever adopted."""
    import shutil

    shared.simulation.clear("mac-1")
    shared.inventory.write_text(shared.pristine)  # type: ignore[attr-defined]
    for folder in (shared.tree.root, shared.tree.sudoers):
        shutil.rmtree(folder)
        folder.mkdir(parents=True)
    for plist in shared.tree.daemons.iterdir():
        plist.unlink()
    shared.asked.clear()
    return shared


def test_an_adopted_node_has_pins_in_the_inventory_and_a_helper_that_answers(bench: Bench) -> None:
    found = bench.ready()
    assert [stranger.node for stranger in bench.asked] == ["mac-1"]
    settings = load_inventory(find_project(str(bench.inventory))).node("mac-1").settings
    assert settings.host_key == bench.asked[0].shown
    assert settings.edge_key is not None
    assert settings.edge_key.startswith("sha256//")
    assert settings.secret_salt is not None
    assert "helper" in found.changed
    assert "# yaml-language-server" in bench.inventory.read_text()
    assert bench.hello().facts is not None
    assert (bench.tree.root / "etc/edge.key").stat().st_mode & 0o777 == 0o600
    assert bench.drop_in.stat().st_mode & 0o777 == 0o440
    assert not list(bench.tree.root.glob(".adopt.*"))
    # the modes that deploys want: tests/goldens/desired/mini-1.state.json
    assert [(bench.tree.root / name).stat().st_mode & 0o777 for name in ("etc", "log", "var")] == [0o755, 0o755, 0o750]


def test_a_second_adopt_changes_nothing_and_asks_nothing(bench: Bench) -> None:
    bench.ready()
    inventory, key = bench.inventory.read_text(), (bench.tree.root / "etc/edge.key").read_bytes()
    plist = next(bench.tree.daemons.iterdir()).stat().st_mtime_ns
    again = bench.ready()
    assert again.changed == ()
    assert len(bench.asked) == 1
    assert bench.inventory.read_text() == inventory
    assert (bench.tree.root / "etc/edge.key").read_bytes() == key
    assert next(bench.tree.daemons.iterdir()).stat().st_mtime_ns == plist


def test_a_root_that_somebody_else_uses_is_left_alone(bench: Bench) -> None:
    (bench.tree.root / "Documents").mkdir()
    found = bench.adopt()
    assert isinstance(found.error, NodeError)
    assert "holds Documents, which is not fleet's" in found.error.title
    assert [path.name for path in bench.tree.root.iterdir()] == ["Documents"]
    (bench.tree.root / "Documents").rmdir()
    bench.ready()


def test_noise_of_the_login_shell_is_no_trouble(bench: Bench) -> None:
    bench.simulation.fault("mac-1", "noise=motd from .zshenv")
    found = bench.ready()
    assert found.probe is not None
    assert found.probe.os_version is not None


def test_a_refused_fingerprint_leaves_node_and_inventory_alone(bench: Bench) -> None:
    before = bench.inventory.read_text()
    found = bench.adopt(accept=lambda _: False)
    assert isinstance(found.error, HostKeyError)
    assert found.error.exit_code == 4
    assert bench.inventory.read_text() == before
    assert list(bench.tree.root.iterdir()) == []


def test_another_key_than_the_pinned_one_needs_rekey(bench: Bench) -> None:
    bench.ready()
    settings = load_inventory(find_project(str(bench.inventory))).node("mac-1").settings
    assert settings.host_key is not None
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJNNnlcYtQiFcVlw2DcjAmkNIjSj9nXMbRdSmxwQ9wAo"
    bench.inventory.write_text(bench.inventory.read_text().replace(settings.host_key, other))
    bench.asked.clear()
    found = bench.adopt()
    assert isinstance(found.error, HostKeyError)
    assert "--rekey mac-1" in found.error.hint
    assert bench.asked == []
    assert bench.ready(rekey=True).changed == ()
    assert bench.asked[0].pinned == other
    assert load_inventory(find_project(str(bench.inventory))).node("mac-1").settings.host_key == settings.host_key


def test_sudo_that_wants_a_password_gets_it_on_stdin_only(bench: Bench) -> None:
    bench.simulation.fault("mac-1", "sudo=password")
    without = bench.adopt()
    assert isinstance(without.error, NodeError)
    assert "--ask-sudo-password" in without.error.hint
    wrong = bench.adopt(password=Secret("wrong"))
    assert isinstance(wrong.error, NodeError)
    assert wrong.error.title == "sudo refused the password"
    assert "wrong" not in wrong.error.text
    assert list(bench.tree.root.iterdir()) == []
    assert "helper" in bench.ready(password=Secret(PASSWORD)).changed
    assert bench.hello().facts is not None  # the drop-in lets the helper run without a password


def test_an_account_that_is_no_sudoer_is_refused_with_sudos_word(bench: Bench) -> None:
    bench.simulation.fault("mac-1", "sudo=refused")
    found = bench.adopt(password=Secret(PASSWORD))
    assert isinstance(found.error, NodeError)
    assert "sudoers" in found.error.detail


def test_a_sudoers_entry_that_visudo_refuses_is_never_put_in_place(bench: Bench) -> None:
    mend = bench.replace_command("visudo", "#!/bin/sh\necho 'parse error near line 2' >&2\nexit 1\n")
    try:
        found = bench.adopt()
    finally:
        mend()
    assert isinstance(found.error, NodeError)
    assert "visudo refuses" in found.error.title
    assert "parse error" in found.error.title
    assert list(bench.tree.sudoers.iterdir()) == []
    bench.ready()
    assert bench.drop_in.exists()


def test_an_adopt_that_failed_in_the_middle_is_finished_by_the_next(bench: Bench) -> None:
    mend = bench.replace_command("plutil", "#!/bin/sh\nexit 1\n")
    try:
        found = bench.adopt()
    finally:
        mend()
    assert isinstance(found.error, NodeError)
    assert not (bench.tree.root / "state/adopted.json").exists()
    assert "host_key" not in bench.inventory.read_text()
    key = (bench.tree.root / "etc/edge.key").read_bytes()
    again = bench.ready()
    assert "helper" not in again.changed
    assert "record" in again.changed
    assert (bench.tree.root / "etc/edge.key").read_bytes() == key


def test_what_was_broken_by_hand_is_mended(bench: Bench) -> None:
    bench.ready()
    (bench.tree.root / "sbin/fleet-node").write_text("#!/bin/sh\nexit 0\n")
    bench.drop_in.chmod(0o640)
    (bench.tree.root / "etc/edge.crt").write_text("not a certificate")
    pin = load_inventory(find_project(str(bench.inventory))).node("mac-1").settings.edge_key
    again = bench.ready()
    assert set(again.changed) == {"helper", "sudoers", "edge key"}
    assert again.pins is not None
    assert again.pins["edge_key"] == pin  # the key stayed, its certificate was made anew


def test_a_link_where_the_owner_may_write_is_neither_read_nor_written_through(bench: Bench, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("root's alone")
    (bench.tree.root / "var").mkdir()
    for name in ("edge.key", "edge.crt"):
        (bench.tree.root / "var" / name).symlink_to(theirs)
    bench.ready()
    assert theirs.read_text() == "root's alone"
    made = [path for path in bench.tree.root.rglob("edge.*") if not path.is_symlink()]
    assert sorted(made) == [bench.tree.root / "etc/edge.crt", bench.tree.root / "etc/edge.key"]
    assert all(b"root's alone" not in path.read_bytes() for path in made)


def test_a_standalone_interpreter_is_sent_once_and_never_half(bench: Bench, tmp_path: Path) -> None:
    build = tmp_path / "build"
    (build / "bin").mkdir(parents=True)
    (build / "lib").mkdir()
    (build / "lib/big.txt").write_bytes(os.urandom(3_000_000))
    (build / "bin/python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (build / "bin/python3").chmod(0o755)
    packed = pack_folder(build, cache=bench.cache)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    need = InterpreterNeed(kind="standalone", python_version=version, platform="this-machine")
    bench.cache.remember_blob("interpreter", interpreter_key(need), packed.archive)
    found = bench.ready(interpreter="standalone")
    assert "interpreter" in found.changed
    installed = bench.tree.root / "python" / packed.digest
    assert (installed / "lib/big.txt").read_bytes() == (build / "lib/big.txt").read_bytes()
    bench.cache.blob_path(packed.digest).write_bytes(b"x" * packed.archive.size)  # sent again it would be refused
    assert bench.ready(interpreter="standalone").changed == ()
    (installed / "bin/python3").unlink()
    broken = bench.adopt(interpreter="standalone")
    assert isinstance(broken.error, NodeError)
    assert "did not arrive whole" in broken.error.title


def test_apples_stub_is_never_started(bench: Bench) -> None:
    found = bench.adopt(interpreter="/usr/bin/python3")
    assert isinstance(found.error, NodeError)
    assert "Apple's stub" in found.error.title
    assert "standalone" in found.error.hint


def test_a_node_without_sudo_needs_no_drop_in(bench: Bench) -> None:
    bench.simulation.fault("mac-1", "sudo=refused")
    found = bench.adopt(sudo="false")
    # the simulated launchd refuses everybody but root in the system domain, as the real one does
    assert isinstance(found.error, NodeError)
    assert "launchd does not" in found.error.title
    assert list(bench.tree.sudoers.iterdir()) == []


def test_a_node_that_is_off_is_unreachable_and_others_are_not_held_up(bench: Bench) -> None:
    bench.simulation.fault("mac-1", "down")
    found = bench.adopt()
    assert isinstance(found.error, Unreachable)
    assert found.error.exit_code == 4
    assert bench.asked == []


def test_the_record_names_layout_interpreter_and_sync(bench: Bench) -> None:
    from fleet.vocabulary.contracts.codec import decode, digest_of
    from fleet.vocabulary.contracts.sync import Adopted
    from fleet.vocabulary.layout import NodeLayout

    bench.ready()
    layout = decode((bench.tree.root / "state/layout.json").read_bytes(), NodeLayout)
    record = decode((bench.tree.root / "state/adopted.json").read_bytes(), Adopted)
    node = load_inventory(find_project(str(bench.inventory))).node(NodeName("mac-1"))
    assert layout == node.settings.layout()
    assert replace(record, fleet_version="") == Adopted(
        layout_digest=digest_of(layout),
        interpreter=node.settings.interpreter,
        sync=sync_zipapp()[0],
        fleet_version="",
        label_prefix=layout.label_prefix,
    )


def test_an_older_fleet_does_not_replace_a_newer_one_unless_that_is_typed(bench: Bench) -> None:
    bench.ready()
    record = bench.tree.root / "state" / "adopted.json"
    newer = record.read_text().replace(f'"fleet_version":"{__version__}"', '"fleet_version":"99.0.0"')
    record.write_text(newer)
    refused = bench.adopt()
    assert refused.error is not None
    assert "a newer fleet adopted it: 99.0.0" in refused.error.text
    assert "fleet adopt --downgrade mac-1" in refused.error.text
    assert record.read_text() == newer
    bench.ready(downgrade=True)
    assert __version__ in record.read_text()
