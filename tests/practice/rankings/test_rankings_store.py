"""A week is written once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fleet.errors import ConfigError, FleetError
from fleet.practice.rankings.catalogue import parse_models
from fleet.practice.rankings.ranking import Catalogue
from fleet.practice.rankings.store import (
    Kept,
    WeekTaken,
    keep_models,
    keep_week,
    model_lists,
    read_models,
    read_week,
    weeks_in,
)
from fleet.practice.rankings.week import Week
from tests.practice.maytable import W20, W21, ranking_of


def test_a_week_comes_back_as_it_was_and_once(tmp_path: Path) -> None:
    ranking = ranking_of(W21)
    assert keep_week(tmp_path, ranking) is Kept.NEW
    content = (tmp_path / "2026-W21.json").read_bytes()
    assert keep_week(tmp_path, msgspec.structs.replace(ranking, as_of="later")) is Kept.SAME
    assert (tmp_path / "2026-W21.json").read_bytes() == content
    assert read_week(tmp_path, W21) == ranking
    assert weeks_in(tmp_path) == (W21,)
    assert read_week(tmp_path, W20) is None
    assert content.count(b'\n  {"rank"') == 10, "a line for every model"


def test_the_same_again_is_nothing_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    keep_week(tmp_path, ranking_of(W21))
    monkeypatch.setattr("fleet.practice.rankings.store.tempfile.mkstemp", full)
    assert keep_week(tmp_path, ranking_of(W21)) is Kept.SAME
    with pytest.raises(FleetError, match="cannot be written: Read-only file system"):
        keep_week(tmp_path, ranking_of(W20))


def test_other_figures_of_an_archived_week_are_refused(tmp_path: Path) -> None:
    ranking = ranking_of(W21)
    keep_week(tmp_path, ranking)
    content = (tmp_path / "2026-W21.json").read_bytes()
    other = (msgspec.structs.replace(ranking.models[0], tokens=1), *ranking.models[1:-1])
    with pytest.raises(WeekTaken) as problem:
        keep_week(tmp_path, msgspec.structs.replace(ranking, models=other))
    assert "DeepSeek-V4-Flash: rank 1, 3,430,000,000,000 tokens, +66 % in the archive" in problem.value.text
    assert "Step 3.5 Flash: only in the archive" in problem.value.text
    assert (tmp_path / "2026-W21.json").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "2026-W21.json"]


def test_the_first_list_of_models_of_a_week_stays_and_the_nearest_is_first(tmp_path: Path) -> None:
    for week in (W20, W21, Week(2026, 30)):
        assert keep_models(tmp_path, week, Catalogue(read_at=str(week))) is Kept.NEW
    assert keep_models(tmp_path, W21, Catalogue(read_at="later")) is Kept.SAME
    found = read_models(tmp_path, W21)
    assert found is not None
    assert found.read_at == "2026-W21"
    assert [one.read_at for one in model_lists(tmp_path, near=W20)] == ["2026-W20", "2026-W21", "2026-W30"]
    assert weeks_in(tmp_path) == ()


def test_a_file_that_somebody_broke_is_named(tmp_path: Path) -> None:
    (tmp_path / "2026-W21.json").write_text("{")
    with pytest.raises(ConfigError, match=r"2026-W21\.json"):
        read_week(tmp_path, W21)


def test_the_list_of_models_is_read_whatever_is_in_it() -> None:
    body = b"""{"data": [
        {"id": "a/x", "canonical_slug": "a/x-2026-01-01", "pricing": {"prompt": "0.00000010", "completion": 4e-7},
         "context_length": 131072, "expiration_date": "2098-12-31"},
        {"id": "b/y", "pricing": {"prompt": "-1", "completion": true}, "expiration_date": "2026-06-01T00:00:00Z"},
        {"id": 7}, "z", {"id": "c/z", "pricing": [], "expiration_date": "soon"}]}"""
    found = parse_models(body, read_at="now")
    assert found is not None
    told = [(one.id, one.prompt, one.completion, one.expires_on) for one in found.models]
    assert told == [
        ("a/x", "0.0000001", "0.0000004", None),
        ("b/y", None, None, "2026-06-01"),
        ("c/z", None, None, None),
    ]
    assert found.find("a/x:nitro") == found.models[0]
    for body in (b"[]", b'{"data": []}', b'{"data": [{"name": "no id"}]}'):  # never: nothing is offered any more
        assert parse_models(body, read_at="now") is None
