"""Pins of nodes that are adopted side by side: every one is written, few writes are needed, and one fault stays one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from fleet.control.actions.adopt_pins import PinWriter
from fleet.errors import UsageError
from fleet.vocabulary.names import NodeName


def test_pins_that_come_together_are_all_written(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    names = [f"mini-{number}" for number in range(40)]
    path.write_text(yaml.safe_dump({"all": {"hosts": {name: {"rack": 1} for name in names}}}))
    writer = PinWriter(path)
    with ThreadPoolExecutor(16) as pool:
        for one in [pool.submit(writer.pin, NodeName(name), {"host_key": f"key of {name}"}) for name in names]:
            one.result()
    hosts = yaml.safe_load(path.read_text())["all"]["hosts"]
    assert hosts == {name: {"rack": 1, "host_key": f"key of {name}"} for name in names}


def test_a_node_that_cannot_be_pinned_keeps_no_other_from_its_pins(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yml"
    path.write_text("all: {hosts: {mini-1: {}, mini-2: {}}}\n")
    writer = PinWriter(path)
    with ThreadPoolExecutor(3) as pool:
        wrong = pool.submit(writer.pin, NodeName("mini-9"), {"host_key": "x"})
        good = [pool.submit(writer.pin, NodeName(name), {"host_key": "x"}) for name in ("mini-1", "mini-2")]
        for one in good:
            one.result()
        with pytest.raises(UsageError, match="no node mini-9"):
            wrong.result()
    assert yaml.safe_load(path.read_text()) == {"all": {"hosts": {n: {"host_key": "x"} for n in ("mini-1", "mini-2")}}}
