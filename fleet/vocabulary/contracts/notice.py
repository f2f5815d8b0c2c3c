"""What a front posts to the webhook: one fault that began, or ended. Schema 1. docs/operating-gateways.md shows it.

Delivered at least once: the same `id` is the same notice. `fault` is the same at its beginning and its end. Another
front tells the same fault under its own name and ids: (`node`, `check`, `subject`) is what both mean.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.vocabulary.names import Health


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """`text` says all of it in one message, for receivers that show nothing else; `what` is the fault alone.

    `state`: began or ended. `next` is what happens when nobody does anything, `do` what helps. `since` is when the
    fault began, `at` when this was known, both UTC.
    """

    id: str
    fault: str
    front: str
    state: str
    node: str
    check: str
    subject: str = ""
    before: Health
    after: Health
    text: str
    what: str
    next: str = ""
    do: str = ""
    since: datetime
    at: datetime
    schema: int = 1
