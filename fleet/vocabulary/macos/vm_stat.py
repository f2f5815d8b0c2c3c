"""`vm_stat`: counts of pages since boot and now. Standard library only.

macOS 27 prints eleven lines more than 15 did (FACTS section 4.2): lines are found by label, unknown ones are skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.vocabulary.macos.digits import whole


@dataclass(frozen=True, kw_only=True)
class VmStat:
    """Virtual memory, in pages of `page_size_bytes`. The last six fields are counters since boot.

    `stored_in_compressor` is the size before compression; `occupied_by_compressor` is the RAM that it takes.
    """

    page_size_bytes: int | None = None
    free: int | None = None
    active: int | None = None
    inactive: int | None = None
    speculative: int | None = None
    wired: int | None = None
    purgeable: int | None = None
    file_backed: int | None = None
    anonymous: int | None = None
    stored_in_compressor: int | None = None
    occupied_by_compressor: int | None = None
    decompressions: int | None = None
    compressions: int | None = None
    pageins: int | None = None
    pageouts: int | None = None
    swapins: int | None = None
    swapouts: int | None = None

    def bytes_of(self, pages: int | None) -> int | None:
        """`pages` in bytes; unknown without a page size."""
        if pages is None or self.page_size_bytes is None:
            return None
        return pages * self.page_size_bytes


_LABELS = {
    "Pages free": "free",
    "Pages active": "active",
    "Pages inactive": "inactive",
    "Pages speculative": "speculative",
    "Pages wired down": "wired",
    "Pages purgeable": "purgeable",
    "File-backed pages": "file_backed",
    "Anonymous pages": "anonymous",
    "Pages stored in compressor": "stored_in_compressor",
    "Pages occupied by compressor": "occupied_by_compressor",
    "Decompressions": "decompressions",
    "Compressions": "compressions",
    "Pageins": "pageins",
    "Pageouts": "pageouts",
    "Swapins": "swapins",
    "Swapouts": "swapouts",
}
_PAGE_SIZE = re.compile(r"page size of ([0-9]{1,9}) bytes")


def parse_vm_stat(text: str) -> VmStat:
    """What `vm_stat` printed. A line that is cut before its final dot is unknown, since digits may be missing."""
    values: dict[str, int] = {}
    size = _PAGE_SIZE.search(text)
    for line in text.splitlines():
        label, colon, rest = line.partition(":")
        field = _LABELS.get(label.strip())
        rest = rest.strip()
        if not field or not colon or not rest.endswith("."):
            continue
        count = whole(rest[:-1])
        if count is not None and count >= 0:
            values[field] = count
    return VmStat(page_size_bytes=int(size[1]) if size and int(size[1]) else None, **values)
