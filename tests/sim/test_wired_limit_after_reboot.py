"""macOS forgets the GPU wired limit at a boot; the job that deploy made puts it back, without anybody's help."""

from __future__ import annotations

import asyncio
import getpass
import grp
import os
from pathlib import Path

from fleet.control.desired.daemonjobs import sysctl_job
from fleet.control.desired.jobs import render_job
from fleet.control.desired.templates import Templates
from fleet.control.inventory.project import Project
from fleet.sim.faults import parse_fault
from fleet.sim.launchd.conditions import Conditions
from fleet.sim.node import SimNode
from fleet.sim.ports import free_port
from fleet.sim.tree import NodeTree
from fleet.vocabulary.layout import NodeLayout
from tests.sim.conftest import eventually

LIMIT = "iogpu.wired_limit_mb"


def the_job(tree: NodeTree, project: Path) -> str:
    """The plist, as deploy renders it."""
    user = getpass.getuser()
    layout = NodeLayout(
        root=str(tree.root),
        owner=user,
        group=grp.getgrgid(os.getegid()).gr_name,
        admin=user,
        daemons_dir=str(tree.daemons),
        commands={"sysctl": str(tree.bin / "sysctl")},
    )
    templates = Templates(Project(project, project / "inventory" / "fleet.yml"))
    return render_job(
        sysctl_job(layout, {LIMIT: "14000"}), "launchd/sysctl.plist.j2", layout=layout, templates=templates
    )


async def test_the_job_of_the_last_deploy_puts_the_wired_limit_back_after_a_reboot(
    tree: NodeTree, tmp_path: Path
) -> None:
    async def limit() -> str:
        words = (str(tree.bin / "sysctl"), "-n", LIMIT)
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].decode().strip()

    async def is_set() -> bool:
        return await limit() == "14000"

    (tree.root / "state").mkdir(exist_ok=True)
    port = free_port()
    node = SimNode(tree, ssh_port=port, marker=tree.said("marker") or "", conditions=Conditions(throttle_scale=0.02))
    await node.start()
    try:
        assert await limit() == "0"
        plist = tree.daemons / "org.fleet-macs.sysctl.plist"
        plist.write_text(the_job(tree, tmp_path))
        plist.chmod(0o644)
        await node.inject(parse_fault("reboot"))
        await eventually(is_set)
    finally:
        await node.stop()
