"""What a fetch brought, into the archive: the same on a laptop and on a front, which asks with its own key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.practice.rankings.archive import Archived, archive
from fleet.practice.rankings.fetch import Fetched, NotFetched, fetch
from fleet.practice.rankings.ours import CATALOGUED
from fleet.practice.rankings.store import Kept, WeekTaken, keep_models
from fleet.practice.rankings.web import HttpsApi
from fleet.practice.rankings.week import Week
from fleet.traffic.config import GatewayConfig
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Monday:
    """What a fetch brought. `refused`: weeks that OpenRouter tells otherwise by now, with what differs.

    `newest` is the last week that is over; `models` says whether its list of models was archived now, None = there was
    none to archive.
    """

    fetched: Fetched
    newest: Week
    archived: tuple[Archived, ...]
    models: Kept | None
    refused: Mapping[str, tuple[str, ...]]


def archive_fetched(folder: Path, found: Fetched) -> Monday:
    """Archive its weeks, and its list of models beside the newest. A week that is there already stays as it is."""
    newest = Week.named(found.rankings[-1].week)
    models = None if found.models is None else keep_models(folder, newest, found.models)
    archived: list[Archived] = []
    refused: dict[str, tuple[str, ...]] = {}
    for ranking in found.rankings:
        try:
            archived.append(archive(folder, ranking, models=found.models))
        except WeekTaken as taken:
            refused[ranking.week] = taken.differences
    return Monday(fetched=found, newest=newest, archived=tuple(archived), models=models, refused=refused)


def fetch_on_front(config: GatewayConfig, *, clock: Clock) -> Fetched:
    """Ask OpenRouter as a front does, with the key file of its first such upstream. Raises NotFetched."""
    upstream = next((one for one in config.upstreams if one.engine == CATALOGUED and one.key_file is not None), None)
    if upstream is None or upstream.key_file is None:
        raise NotFetched(f"the front has no upstream of engine {CATALOGUED} with a key")
    try:
        key = Path(upstream.key_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8"
        raise NotFetched(f"the key of {upstream.name} cannot be read: {reason}") from None
    return fetch(HttpsApi(upstream.url), key=Secret(key), clock=clock)
