"""Which beginnings of prompts a server still has in memory. Pure.

A prompt is its model, its tools and its messages, in chunks of 512 bytes. The chain of a prompt has one hash per chunk,
of everything up to its end: two prompts share as much as their chains begin alike. CRC-32 with the chunk's position: by
measurement three times as fast as blake2b, the same in every process, and a collision only costs a warm cache.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

CHUNK_BYTES = 512
LONGEST_CHAIN = 256
_MEDIA_BYTES = 4096
_LONGEST_SESSION = 256
_KEPT_PER_CACHED_PROMPT = 4
_MOST_HASHES = 16 * 1024
_SESSION_HEADERS = ("x-fleet-session", "x-session-affinity", "session_id")
_SESSION_FIELDS = ("prompt_cache_key", "session_id", "user")
_TEXTS = ("text", "refusal", "thinking", "input_text", "output_text")
_ENCODE = msgspec.json.Encoder(order="deterministic").encode


def chain_of(request: Mapping[str, Any], model: str, *, wanted: bool = True) -> tuple[tuple[int, ...], int]:
    """The chain of `request` (in OpenAI's words) and the bytes of its prompt, tools included.

    Without `wanted` (only one upstream could serve) the chain is empty, and costs nothing. An image or a sound counts
    as a few KB: its text is no measure of its tokens.
    """
    said = request.get("messages")
    if said is None:
        said = request.get("prompt") or request.get("input")
    data = _ENCODE(said)
    tools = _ENCODE(request["tools"]) if request.get("tools") else b""
    prompt_bytes = len(data) + len(tools) - _media_bytes(said)
    if not wanted or len(data) <= CHUNK_BYTES:
        return (), prompt_bytes
    crc32, seed = zlib.crc32, zlib.crc32(tools, zlib.crc32(model.encode(errors="replace")))
    end = min(len(data) - 1, CHUNK_BYTES * LONGEST_CHAIN)  # the last byte closes the list: the next turn goes on there
    view = memoryview(data)
    chain: list[int] = []
    for start in range(0, end - CHUNK_BYTES + 1, CHUNK_BYTES):
        seed = crc32(view[start : start + CHUNK_BYTES], seed)
        chain.append(start << 32 | seed)
    return tuple(chain), prompt_bytes


def session_of(headers: Mapping[str, str], body: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """What names the conversation: a header, a field of the client's `body`, or how its `request` began.

    `headers` have names in lower case, or do not care. At most 256 characters; "" when there is nothing to go by.
    """
    for name in _SESSION_HEADERS:
        if named := headers.get(name):
            return named[:_LONGEST_SESSION]
    fleet = body.get("fleet")
    if isinstance(fleet, Mapping) and isinstance(named := fleet.get("session"), str) and named:
        return named[:_LONGEST_SESSION]
    for name in _SESSION_FIELDS:
        named = body.get(name)
        if isinstance(named, str) and named:
            return named[:_LONGEST_SESSION]
    return _beginning(request.get("messages"))


class PrefixMemory:
    """The chains that one server was sent last: as many as four times what its prompt cache holds.

    A chain that goes on where an earlier one ended takes its place. Bounded in chains and in hashes.
    """

    def __init__(self, prompt_cache_size: int) -> None:
        self._longest = max(prompt_cache_size, 0) * _KEPT_PER_CACHED_PROMPT
        self._chains: dict[int, tuple[int, ...]] = {}
        self._counts: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._chains)

    @property
    def hashes(self) -> int:
        """How many hashes are held: what its size in memory goes by."""
        return len(self._counts)

    def matched_bytes(self, chain: tuple[int, ...]) -> int:
        """How much of the prompt it has seen: the longest beginning. A chain is known from its start: bisection."""
        counts = self._counts
        if not chain or chain[0] not in counts:
            return 0
        low, high = 1, len(chain)
        while low < high:
            middle = (low + high + 1) // 2
            if chain[middle - 1] in counts:
                low = middle
            else:
                high = middle - 1
        return low * CHUNK_BYTES

    def remember(self, chain: tuple[int, ...]) -> None:
        """It was sent this prompt."""
        if not chain or not self._longest:
            return
        known = self.matched_bytes(chain) // CHUNK_BYTES
        earlier = self._chains.pop(chain[known - 1], None) if known else None
        fresh = chain if earlier is None or chain[: len(earlier)] != earlier else chain[len(earlier) :]
        if fresh is chain and earlier is not None:
            self._chains[earlier[-1]] = earlier
        counts = self._counts
        for one in fresh:
            counts[one] = counts.get(one, 0) + 1
        self._chains[chain[-1]] = chain
        while len(self._chains) > self._longest or (len(counts) > _MOST_HASHES and len(self._chains) > 1):
            self._forget(self._chains.pop(next(iter(self._chains))))

    def clear(self) -> None:
        """It lost what it had: a restart."""
        self._chains.clear()
        self._counts.clear()

    def _forget(self, chain: Iterable[int]) -> None:
        counts = self._counts
        for one in chain:
            left = counts[one] - 1
            if left:
                counts[one] = left
            else:
                del counts[one]


def _beginning(messages: object) -> str:
    """A name made of the system text and the first word of the user. Total."""
    if not isinstance(messages, list):
        return ""
    crc = 0
    for message in messages:
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        data = content.encode(errors="replace") if isinstance(content, str) else _ENCODE(content)
        crc = zlib.crc32(data, crc)
        if message.get("role") == "user":
            break
    return f"{crc:08x}" if messages else ""


def _media_bytes(messages: object) -> int:
    """How many bytes of `messages` are images and sounds, beyond a few KB each."""
    found = 0
    for message in messages if isinstance(messages, list) else ():
        parts = message.get("content") if isinstance(message, dict) else None
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, dict) and part.get("type") not in _TEXTS:
                    found += max(len(_ENCODE(part)) - _MEDIA_BYTES, 0)
    return found
