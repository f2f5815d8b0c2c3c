"""The same work on many nodes at once, answers in the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from fleet.control.inventory import Node
from fleet.errors import FleetError

T = TypeVar("T")

AT_ONCE = 64


def on_each(
    nodes: Sequence[Node], work: Callable[[Node], T], *, failed: Callable[[Node, FleetError], T]
) -> Iterator[T]:
    """What `work` answers for every node; `failed` makes an answer of an error that a person can act on.

    Who stops listening (^C) is not kept until the slowest node has answered.
    """

    def one(node: Node) -> T:
        try:
            return work(node)
        except FleetError as error:
            return failed(node, error)

    pool = ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(nodes))))
    try:
        for future in as_completed([pool.submit(one, node) for node in nodes]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
