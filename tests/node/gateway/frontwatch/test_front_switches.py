"""The power hook from end to end: a node hangs, another answers, and the front knew the first one's SSH port."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from frontwatch_kit import QUICK, Clock, Mini, a_front, a_mini
from gateway_harness import until, write_config

from fleet.traffic.config import FleetWatch, Listen, Power, WatchedNode
from fleet.vocabulary.names import GatewayRole

POWER = Power(argv=("/bin/echo", "switching", "{node}"), after_seconds=600, again_seconds=3600)


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-test\r\n")
    writer.close()


def config_of(folder: Path, mini: Mini, ssh_port: int) -> Path:
    nodes = (
        WatchedNode(node="mini-1", url=mini.url),
        WatchedNode(node="mini-2", url="http://127.0.0.1:1", ssh_host="127.0.0.1", ssh_port=ssh_port),
    )
    return write_config(
        folder, node="front-1", role=GatewayRole.FRONT, listen=Listen(host="127.0.0.1", port=0),
        state_dir=str(folder / "state"), watch=FleetWatch(nodes=nodes, power=POWER), wellness=QUICK,
    )  # fmt: skip


@pytest.mark.parametrize("the_other_answers", [True, False])
async def test_a_node_that_hangs_is_switched_unless_it_is_the_front_that_is_cut_off(
    tmp_path: Path, the_other_answers: bool
) -> None:
    clock = Clock()
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with a_mini(clock) as mini:
        config_file = config_of(tmp_path, mini, server.sockets[0].getsockname()[1])
        async with a_front(config_file, clock) as front:
            await front.pass_time(5)
            await until(lambda: front.knocked("mini-2"))
            await front.round()
            server.close()
            await server.wait_closed()
            if not the_other_answers:
                await mini.stop()
            for _ in range(3):
                await front.pass_time(400, heard=the_other_answers)
            await front.watch.close()
            front.journal.flush()
            assert ("switching mini-2" in front.said.text) is the_other_answers
            runs = front.watch.view().power_runs  # type: ignore[union-attr]
            assert runs == int(the_other_answers)
