"""Sync as it is shipped, helper and zipapp, on a simulated Mac with real processes. No SSH."""

from __future__ import annotations

import asyncio
import getpass
import grp
import io
import json
import os
import plistlib
import signal
import socket
import subprocess
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import pytest

from fleet.control.supply.nodepart import sync_zipapp
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.launchd.disabled import DisabledStore
from fleet.sim.launchd.fifo_door import FifoDoor
from fleet.sim.launchd.launchd import Launchd
from fleet.sim.launchd.privilege import is_root
from fleet.sim.launchd.spawn import Spawner
from fleet.sim.launchd.unified_log import UnifiedLog
from fleet.sim.ports import free_port
from fleet.sim.processes import end_marked
from fleet.sim.tree import base_interpreter, make_tree
from fleet.vocabulary.contracts.codec import canonical, decode, digest_of
from fleet.vocabulary.contracts.desired import (
    Blob,
    Daemon,
    DesiredState,
    Directory,
    File,
    HttpGate,
    LaunchdGate,
    Pmset,
    Tree,
)
from fleet.vocabulary.contracts.frames import FromNode
from fleet.vocabulary.contracts.sync import (
    MAGIC,
    Adopted,
    BlobPart,
    Bye,
    Commit,
    Desired,
    Done,
    Event,
    Hello,
    Observed,
    Progress,
    Staged,
)
from fleet.vocabulary.layout import NodeLayout

USER = getpass.getuser()
APPLY = "org.fleet-macs.apply"
GROUP = grp.getgrgid(os.getegid()).gr_name
COMMANDS = ("launchctl", "plutil", "sysctl", "pmset", "sw_vers", "fdesetup", "lsof", "shasum")
SERVER = """\
import http.server, pathlib, signal, sys
config = pathlib.Path(sys.argv[2])
text = [config.read_bytes()]
signal.signal(signal.SIGHUP, lambda *_: text.__setitem__(0, config.read_bytes()))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()
        self.wfile.write(text[0])
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class SimMac:
    """One simulated Mac with its launchd on a thread, and fleet adopted on it by hand."""

    def __init__(self, place: Path) -> None:
        self.marker = uuid.uuid4().hex
        self.tree = make_tree(place / "mac", marker=self.marker)
        self.layout = NodeLayout(
            root=str(self.tree.root),
            owner=USER,
            group=GROUP,
            admin=USER,
            admin_group=GROUP,
            home=str(self.tree.home),
            daemons_dir=str(self.tree.daemons),
            sudoers_dir=str(self.tree.sudoers),
            commands={name: str(self.tree.bin / name) for name in COMMANDS},
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()
        self._adopt()

    def start(self) -> None:
        """Switch it on."""
        self._launchd = Launchd(
            spawner=Spawner(marker=self.marker, path_prefix=str(self.tree.bin)),
            disabled=DisabledStore(self.tree.state),
            log=UnifiedLog(self.tree.state / "launchd.log"),
            conditions=Conditions(throttle_scale=0.1, exit_scale=0.2),
        )
        self._fifo = FifoDoor(self.tree.run, self._launchd, is_root=is_root)

        async def boot() -> None:
            self._fifo.open()
            await self._launchd.boot(self.tree.daemons)

        self._await(boot())

    def lose_power(self) -> None:
        """Everything stops at once."""

        async def off() -> None:
            await self._launchd.lose_power()
            self._fifo.close()

        self._await(off())

    def close(self) -> None:
        """Leave nothing behind."""
        self.lose_power()
        end_marked(self.marker)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pids(self) -> dict[str, int | None]:
        """Every job's process."""
        return {view.spec.label: view.pid for view in self._launchd.views()}

    def lasting(self) -> dict[str, int | None]:
        """The same without the job that carries a run out: it may be ending yet."""
        return {label: pid for label, pid in self.pids().items() if label != APPLY}

    def helper(self, *words: str) -> subprocess.Popen[bytes]:
        """Start the helper as root."""
        return subprocess.Popen(
            [self.layout.helper, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"FLEET_SIM": self.marker, "FLEET_SIM_ROOT": "1"},
        )

    def _await(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def _adopt(self) -> None:
        layout, root = self.layout, self.tree.root
        for name in ("sbin", "sync", "releases", "state", "runs", "blobs", "files", "etc", "var", "log"):
            (root / name).mkdir()
        self.sync, content = sync_zipapp()
        Path(layout.sync(self.sync)).write_bytes(content)
        Path(layout.current_sync).symlink_to(f"{self.sync}.pyz")
        interpreter = base_interpreter()
        adopted = Adopted(layout_digest=digest_of(layout), interpreter=interpreter, sync=self.sync, fleet_version="0",
                          label_prefix=layout.label_prefix)  # fmt: skip
        (root / "state" / "layout.json").write_bytes(canonical(layout))
        (root / "state" / "adopted.json").write_bytes(canonical(adopted))
        text = files("fleet.node.sync").joinpath("helper.sh").read_text()
        values = {"ROOT": layout.root, "INTERPRETER": interpreter, "DOMAIN": "system"}
        values |= {name.upper(): layout.command(name) for name in ("launchctl", "shasum", "pmset", "sysctl")}
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        Path(layout.helper).write_text(text)
        Path(layout.helper).chmod(0o755)
        plist = Path(layout.plist(layout.apply_label))
        job = {"Label": layout.apply_label, "ProgramArguments": [interpreter, "-I", "-S", layout.current_sync, "apply"],
               "RunAtLoad": True, "ThrottleInterval": 1, "StandardErrorPath": layout.state("apply.log"),
               "StandardOutPath": layout.state("apply.log")}  # fmt: skip
        plist.write_bytes(plistlib.dumps(job))
        plist.chmod(0o644)
        env = {"FLEET_SIM": self.marker, "FLEET_SIM_ROOT": "1"}
        subprocess.run([layout.command("launchctl"), "bootstrap", "system", str(plist)], env=env, check=True)


@dataclass
class Talk:
    """The laptop's side of one exec."""

    mac: SimMac
    state: DesiredState
    contents: dict[str, bytes]
    run_id: str
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.process = self.mac.helper("sync", "1", self.state.state_id, self.run_id, self.mac.sync)
        assert self._out.readline() == MAGIC

    @property
    def _out(self) -> Any:
        assert self.process.stdout is not None
        return self.process.stdout

    def read(self) -> Any:
        size = int(self._out.readline())
        body = self._out.read(size + 1)
        return decode(body[:-1], cast(Any, FromNode))

    def write(self, frame: Any, raw: bytes = b"") -> None:
        text = canonical(frame)
        assert self.process.stdin is not None
        self.process.stdin.write(b"%d\n%b\n%b" % (len(text), text, raw))
        self.process.stdin.flush()

    def plan(self) -> Observed:
        self.write(Desired(state=self.state))
        observed = self.read()
        assert isinstance(observed, Observed), observed
        return observed

    def commit(self, observed: Observed) -> None:
        for missing in observed.missing:
            content = self.contents[missing.digest][missing.offset :]
            self.write(BlobPart(digest=missing.digest, offset=missing.offset, size=len(content)), content)
        self.write(Commit(run_id=self.run_id))
        while isinstance(staged := self.read(), Progress):
            assert 0 <= staged.done <= staged.total
        assert isinstance(staged, Staged), staged

    def end(self) -> tuple[list[Event], Done]:
        events: list[Event] = []
        while isinstance(frame := self.read(), Event):
            events.append(frame)
        assert isinstance(frame, Done), frame
        self.close()
        return events, frame

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(timeout=20)


class Fleet:
    """Deploys small releases to one simulated Mac: a web server and a sleeper."""

    def __init__(self, mac: SimMac) -> None:
        self.mac = mac
        self.port = free_port()
        self._count = 0

    def release(
        self, *, text: str = "one", program: str = "", python: str = "a", word: str = "1000"
    ) -> tuple[DesiredState, dict[str, bytes]]:
        layout, contents = self.mac.layout, {}

        def blob(content: bytes) -> Blob:
            digest = f"sha256:{sha256(content).hexdigest()}"
            contents[digest] = content
            return Blob(digest=digest, size=len(content))

        def daemon(service: str, words: list[str], **more: Any) -> Daemon:
            label = layout.label(service)
            log = layout.log(f"{service}.log")
            plist = {"Label": label, "ProgramArguments": words, "KeepAlive": True, "StandardOutPath": log,
                     "StandardErrorPath": log, "UserName": USER, "ExitTimeOut": 5}  # fmt: skip
            return Daemon(
                task="t", label=label, service=service, plist=blob(plistlib.dumps(plist)), user=USER, group=GROUP,
                program=words[0], exit_timeout_seconds=5, logs=(log,), **more,
            )  # fmt: skip

        config = layout.etc("agent.json")
        link = f'#!/bin/sh\nexec {base_interpreter()} "$@"\n'.encode()
        # The interpreter is a tree of its own, whose name changes with `python`; `program` runs something else.
        stub = _tar({"bin/python3": link, "version": python.encode()})
        where = layout.python(sha256(stub).hexdigest())
        app = _tar({"server.py": SERVER.encode()})
        home = layout.app(sha256(app).hexdigest())
        interpreter = f"{where}/bin/python3"
        server = [program or interpreter, f"{home}/server.py", str(self.port), config]
        url = f"http://127.0.0.1:{self.port}/healthz"
        passing = (
            LaunchdGate(label=layout.label("agent"), stable_seconds=0.5),
            LaunchdGate(label=layout.label("sleeper"), stable_seconds=0.5),
            HttpGate(label=layout.label("agent"), url=url, within_seconds=10),
        )
        state = DesiredState(
            node="sim-1",
            layout=layout,
            interpreter=interpreter,
            items=(
                Directory(task="t", path=layout.etc("").rstrip("/"), mode=0o755, owner=USER, group=GROUP),
                Tree(task="t", role="python", name="python", path=where, archive=blob(stub)),
                Tree(task="t", role="app", name="app", path=home, archive=blob(app)),
                File(task="t", path=config, blob=blob(text.encode()), mode=0o600, owner=USER, group=GROUP),
                Pmset(task="t", settings={"sleep": 0, "womp": 1}),
                daemon("agent", server, reload={config: blob(text.encode()).digest}, ports=(self.port,)),
                daemon("sleeper", ["/bin/sleep", word]),
            ),
            gates=passing,
        )  # fmt: skip
        return state, contents

    def talk(self, made: tuple[DesiredState, dict[str, bytes]]) -> Talk:
        self._count += 1
        return Talk(self.mac, *made, f"run-{self._count}")

    def deploy(self, made: tuple[DesiredState, dict[str, bytes]]) -> tuple[list[Event], Done]:
        talk = self.talk(made)
        hello = talk.read()
        assert isinstance(hello, Hello)
        assert not hello.idle
        talk.commit(talk.plan())
        return talk.end()

    def idle(self, made: tuple[DesiredState, dict[str, bytes]]) -> bool:
        """Whether the helper says that there is nothing to do. Python would have told facts."""
        talk = self.talk(made)
        hello = talk.read()
        talk.close()
        assert hello.idle == (hello.facts is None)
        return bool(hello.idle)

    def served(self) -> str:
        """What the web server says."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as peer:
            peer.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = b""
            while block := peer.recv(4096):
                answer += block
        return answer.partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    mac = SimMac(tmp_path)
    try:
        yield Fleet(mac)
    finally:
        mac.close()


def _tar(contents: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def until(holds: Callable[[], object], within_seconds: float = 60.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_node_is_brought_up_changed_and_left_alone(fleet: Fleet) -> None:
    first = fleet.release()
    events, done = fleet.deploy(first)
    assert done.outcome == "committed", events
    assert fleet.served() == "one"
    assert fleet.idle(first)
    pids = fleet.mac.lasting()

    second = fleet.release(text="two")
    assert not fleet.idle(second)
    events, done = fleet.deploy(second)
    assert (done.outcome, fleet.mac.lasting()) == ("committed", pids)
    until(lambda: fleet.served() == "two")

    third = fleet.release(text="two", word="1001")
    _, done = fleet.deploy(third)
    assert done.outcome == "committed"
    changed = {label for label, pid in fleet.mac.lasting().items() if pid != pids[label]}
    assert changed == {"org.fleet-macs.sleeper"}
    assert fleet.idle(third)


def test_drift_is_seen_by_the_helper_and_repaired(fleet: Fleet) -> None:
    made = fleet.release()
    fleet.deploy(made)
    Path(fleet.mac.layout.etc("agent.json")).write_text("meddled")
    assert not fleet.idle(made)
    _, done = fleet.deploy(made)
    assert done.outcome == "committed"
    until(lambda: fleet.served() == "one")
    assert fleet.idle(made)


def assert_names_78(events: list[Event], done: Done) -> None:
    assert done.outcome == "reverted", events
    (failed,) = [event for event in events if event.phase == "gate" and event.status == "failed"]
    assert "78: EX_CONFIG" in failed.text
    assert "is not on the node" in failed.detail


def test_a_missing_program_in_a_first_ever_deploy_leaves_nothing(fleet: Fleet) -> None:
    events, done = fleet.deploy(fleet.release(program="/nowhere/python3"))
    assert_names_78(events, done)
    assert set(fleet.mac.pids()) == {APPLY}
    assert not Path(fleet.mac.layout.etc("agent.json")).exists()
    _, done = fleet.deploy(fleet.release())
    assert done.outcome == "committed"


def test_a_missing_program_in_a_second_deploy_brings_the_first_back(fleet: Fleet) -> None:
    first = fleet.release()
    fleet.deploy(first)
    sleeper = fleet.mac.pids()["org.fleet-macs.sleeper"]
    assert_names_78(*fleet.deploy(fleet.release(text="two", program="/nowhere/python3")))
    assert fleet.served() == "one"
    assert fleet.mac.pids()["org.fleet-macs.sleeper"] == sleeper
    assert fleet.idle(first)


def test_a_changed_interpreter_without_its_program_brings_the_old_one_back(fleet: Fleet) -> None:
    first = fleet.release()
    fleet.deploy(first)
    _, done = fleet.deploy(fleet.release(python="b"))
    assert done.outcome == "committed"
    state, contents = fleet.release(python="c")
    broken = f"{state.interpreter}.missing"
    assert_names_78(*fleet.deploy(fleet.release(python="c", program=broken)))
    assert fleet.served() == "one"
    assert fleet.idle(fleet.release(python="b"))
    assert contents


def slow_commit(fleet: Fleet) -> Talk:
    """A deploy that stands at a gate which cannot pass yet."""
    state, contents = fleet.release(text="two", word="1001")
    gate = HttpGate(label="org.fleet-macs.agent", url=f"http://127.0.0.1:{fleet.port}/never", within_seconds=60)
    talk = fleet.talk((replace(state, gates=(*state.gates[:2], gate)), contents))
    talk.read()
    talk.commit(talk.plan())
    until(lambda: talk.read().phase == "gate")
    return talk


def test_an_apply_job_that_is_killed_is_recovered_by_the_next_contact(fleet: Fleet) -> None:
    first = fleet.release()
    fleet.deploy(first)
    talk = slow_commit(fleet)
    talk.process.kill()
    talk.close()
    pid = fleet.mac.pids()[APPLY]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: fleet.mac.pids()[APPLY] is None)
    again = fleet.talk(first)
    assert again.read().active_run == talk.run_id
    until(lambda: not Path(fleet.mac.layout.state("pending")).exists())
    observed = again.plan()
    again.write(Bye())
    again.close()
    assert observed.steps == ()
    assert fleet.served() == "one"
    assert fleet.idle(first)


def test_a_machine_that_loses_its_power_in_the_middle_comes_back_with_the_old_release(fleet: Fleet) -> None:
    first = fleet.release()
    fleet.deploy(first)
    talk = slow_commit(fleet)
    fleet.mac.lose_power()
    talk.process.kill()
    talk.close()
    fleet.mac.start()
    until(lambda: not Path(fleet.mac.layout.state("pending")).exists())
    until(lambda: fleet.served() == "one")
    assert fleet.idle(first)


def test_a_laptop_that_is_killed_after_its_commit_is_not_missed(fleet: Fleet) -> None:
    made = fleet.release()
    talk = fleet.talk(made)
    talk.read()
    talk.commit(talk.plan())
    talk.process.kill()
    talk.close()
    until(lambda: not Path(fleet.mac.layout.state("pending")).exists())
    assert fleet.served() == "one"
    assert fleet.idle(made)
    follower = fleet.mac.helper("attach", talk.run_id, "0", fleet.mac.sync)
    out, _ = follower.communicate(timeout=20)
    assert b'"outcome":"committed"' in out.splitlines()[-1]


def test_uninstall_leaves_no_daemon_and_no_file(fleet: Fleet) -> None:
    fleet.deploy(fleet.release())
    out, _ = fleet.mac.helper("uninstall").communicate(timeout=30)
    assert json.loads(out.splitlines()[-1])["kind"] == "done"
    assert fleet.mac.pids() == {}
    assert not fleet.mac.tree.root.exists()
    assert list(fleet.mac.tree.daemons.iterdir()) == []
