"""A start that launchd puts off is made by the helper's one verb, through sudo, as the agent calls it."""

from __future__ import annotations

import asyncio
import os
import plistlib
import signal
from importlib.resources import files

from fleet.sim.faults import parse_fault
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.ports import free_port
from fleet.sim.tree import NodeTree
from fleet.vocabulary.launchctl import PrintedService, parse_print
from tests.sim.conftest import eventually

LABEL = "org.fleet-macs.sidecar.chat"


def put_helper(tree: NodeTree) -> str:
    """The helper of the node, as adopt renders it, after a deploy that made one daemon."""
    values = {"ROOT": str(tree.root), "INTERPRETER": "/nowhere", "DOMAIN": "system", "PREFIX": "org.fleet-macs"}
    values |= {name.upper(): str(tree.bin / name) for name in ("launchctl", "shasum", "pmset", "sysctl")}
    text = files("fleet.node.sync").joinpath("helper.sh").read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    for folder in ("sbin", "state"):
        (tree.root / folder).mkdir(exist_ok=True)
    (tree.root / "state" / "receipt").write_text(f"fleet-receipt 1\ndaemon running - - - {LABEL}\nend - - - -\n")
    path = tree.root / "sbin" / "fleet-node"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


async def run(*words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out = (await process.communicate())[0].decode()
    return process.returncode, out


async def test_the_helper_starts_what_launchd_puts_off(tree: NodeTree) -> None:
    async def printed() -> PrintedService:
        return parse_print((await run(str(tree.bin / "launchctl"), "print", f"system/{LABEL}"))[1])

    async def is_running() -> bool:
        return (await printed()).running

    async def is_pended() -> bool:
        return (await printed()).pended is not None

    helper = put_helper(tree)
    plist = tree.daemons / f"{LABEL}.plist"
    plist.write_bytes(
        plistlib.dumps(
            {"Label": LABEL, "ProgramArguments": ["/bin/sleep", "600"], "KeepAlive": True, "RunAtLoad": True}
        )
    )
    plist.chmod(0o644)
    port = free_port()
    node = SimNode(tree, ssh_port=port, marker=tree.said("marker") or "", conditions=Conditions(throttle_scale=0.02))
    await node.start()
    try:
        await eventually(is_running)
        await node.inject(parse_fault("pended=inefficient"))
        pid = (await printed()).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(is_pended)
        assert await run(str(tree.bin / "sudo"), "-n", helper, "start", LABEL) == (0, "")
        await eventually(is_running)
        status, said = await run(str(tree.bin / "sudo"), "-n", helper, "start", "com.apple.sshd")
        assert (status, "no daemon of the last deploy" in said) == (64, True)
    finally:
        await node.stop()
