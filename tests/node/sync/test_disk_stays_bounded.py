"""A node that is deployed to day by day, with a sidecar that never stops talking, does not fill its disk."""

from __future__ import annotations

import os
import random
from pathlib import Path

from sync_kit import Node, Release

from fleet.node.agent.logs import Logs
from fleet.node.sync import releases

DAY = 86400
LOG_LIMIT, LOG_FILES = 50_000, 2
ENV_BYTES, MODEL_BYTES = 100_000, 200_000


def a_release(node: Node, number: int) -> Release:
    """Every day another env and configuration, every fifth day other weights."""
    chance = random.Random(number)
    made = node.release().tree("mlx", {"lib.so": chance.randbytes(ENV_BYTES)})
    made.tree("weights", {"model.safetensors": random.Random(number // 5).randbytes(MODEL_BYTES)})
    return made.file(node.layout.etc("app.conf"), f"{number}\n").daemon("sidecar.chat", f"--release={number}")


def used_bytes(folder: Path) -> int:
    """What lies below it."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def test_fifteen_deploys_and_a_chatty_sidecar_stay_within_the_limits(tmp_path: Path) -> None:
    node = Node(tmp_path)
    root, log = Path(node.layout.root), Path(node.layout.log("sidecar.chat.log"))
    keeper = Logs([str(log)], limit_bytes=LOG_LIMIT, files=LOG_FILES)
    envs, models, bookkeeping = 3 * (ENV_BYTES + 10_240), 3 * (MODEL_BYTES + 10_240), 300_000
    most_bytes = envs + models + bookkeeping + (1 + LOG_FILES) * LOG_LIMIT
    sizes = []
    for number in range(15):
        assert node.deploy(a_release(node, number)) == "committed"
        with log.open("ab", buffering=0) as launchd:  # once opened for append, as launchd does
            for _ in range(20):
                launchd.write(b"127.0.0.1 POST /v1/chat/completions 200\n" * 1000)
                keeper.bound()
        node.clock.advance(DAY)
        at = node.clock.now().timestamp()
        os.utime(node.layout.release(releases.current_id(node.machine) or ""), (at, at))
        sizes.append(used_bytes(root))
    assert max(sizes) < most_bytes
    assert abs(sizes[-1] - sizes[4]) < LOG_LIMIT + MODEL_BYTES, "it does not grow with the number of deploys"
    assert releases.current_id(node.machine) == a_release(node, 14).state.state_id
