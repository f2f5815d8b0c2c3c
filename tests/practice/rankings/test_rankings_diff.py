"""What a week changes is told; what is not known is not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.practice.rankings.diff import RankingDiff, diff
from fleet.practice.rankings.finding import Finding, Kind, WowFrom
from fleet.practice.rankings.join import join
from fleet.practice.rankings.ours import OurModel, OurRoute, Ours
from fleet.practice.rankings.ranking import Catalogue, ListedModel, Ranked, Ranking
from fleet.vocabulary.names import Track
from tests.practice.maytable import W20, W21, ranking_of

TODAY = date(2026, 5, 25)
NOTHING = Ours()


def week(name: str, *models: Ranked) -> Ranking:
    return Ranking(week=name, as_of="2026-05-25", source="test", attribution="Source: test", models=models)


def ranked(*tokens: int | None, first: int = 1, name: str = "m") -> tuple[Ranked, ...]:
    return tuple(Ranked(rank=first + at, slug=f"{name}{first + at}", tokens=count) for at, count in enumerate(tokens))


def told(found: RankingDiff) -> list[tuple[str, str]]:
    return [(one.kind.value, one.subject.title) for one in found.findings]


def only(found: RankingDiff, title: str) -> Finding:
    return next(one for one in found.findings if one.subject.title == title)


def test_may_makes_a_rise_a_dropout_and_an_entrant() -> None:
    found = diff(ranking_of(W20), ranking_of(W21), ours=NOTHING, today=TODAY)
    assert told(found) == [("rise", "DeepSeek-V4-Flash"), ("entrant", "Step 3.5 Flash"), ("dropout", "Kimi K2.6")]
    flash = only(found, "DeepSeek-V4-Flash")
    assert (flash.wow_percent, flash.wow_from, flash.printed_percent) == ("65.7", WowFrom.COMPUTED, "66")
    assert only(found, "Kimi K2.6").rank_before == 6


def test_a_week_without_its_predecessor_tells_only_what_is_printed_and_says_so() -> None:
    found = diff(None, ranking_of(W21), ours=NOTHING, today=TODAY)
    assert told(found) == [("rise", "DeepSeek-V4-Flash")]
    assert found.findings[0].wow_from is WowFrom.PRINTED
    assert found.findings[0].notes == (
        "Only printed by the source: 2026-W20 is not archived, so nothing could be computed.",
    )
    assert found.notes[0].startswith("2026-W20 is not archived: no entrants, no drop-outs")


def test_without_figures_nothing_is_made_of_a_lone_week() -> None:
    bare = tuple(msgspec.structs.replace(one, printed=None) for one in ranking_of(W21).models)
    found = diff(None, msgspec.structs.replace(ranking_of(W21), models=bare), ours=NOTHING, today=TODAY)
    assert found.findings == ()


def test_a_week_that_is_not_the_one_before_counts_as_none() -> None:
    old = msgspec.structs.replace(ranking_of(W20), week="2026-W19")
    assert diff(old, ranking_of(W21), ours=NOTHING, today=TODAY).before_week is None


@pytest.mark.parametrize(
    ("now", "kind"), [(129, None), (130, None), (131, Kind.RISE), (71, None), (70, None), (69, Kind.FALL)]
)
def test_thirty_percent_is_not_above_thirty_percent(now: int, kind: Kind | None) -> None:
    found = diff(week("2026-W20", *ranked(100)), week("2026-W21", *ranked(now)), ours=NOTHING, today=TODAY)
    assert [one.kind for one in found.findings] == ([] if kind is None else [kind])


@given(st.integers(min_value=1, max_value=10**15), st.integers(min_value=0, max_value=10**15))
def test_the_threshold_is_exact_for_any_two_counts(before: int, now: int) -> None:
    found = diff(week("2026-W20", *ranked(before)), week("2026-W21", *ranked(now)), ours=NOTHING, today=TODAY)
    assert bool(found.findings) == (abs(now - before) * 10 > before * 3)


def test_the_computed_change_counts_and_the_ticket_says_so() -> None:
    now = week("2026-W21", Ranked(rank=1, slug="m1", tokens=150, printed=Decimal(10)))
    found = diff(week("2026-W20", *ranked(100)), now, ours=NOTHING, today=TODAY)
    sentence = "The source prints +10 %; computed from both weeks' tokens it is +50 %. The computed figure counts."
    assert found.findings[0].notes == (sentence,)


def test_a_printed_rise_that_the_figures_deny_makes_no_ticket_but_a_note() -> None:
    now = week("2026-W21", Ranked(rank=1, slug="m1", tokens=110, printed=Decimal(50)))
    found = diff(week("2026-W20", *ranked(100)), now, ours=NOTHING, today=TODAY)
    assert found.findings == ()
    assert "m1: printed +50 %, computed +10 %. The computed figure counts." in found.notes


def test_who_is_missing_in_a_short_list_neither_entered_nor_left() -> None:
    before = week("2026-W20", *ranked(10, 9, 8))
    after = week("2026-W21", *ranked(10, 9), Ranked(rank=3, slug="new", tokens=8))
    assert diff(before, after, ours=NOTHING, today=TODAY).findings == ()


def test_a_model_from_rank_eleven_entered_even_when_the_list_before_has_a_hole() -> None:
    before = week("2026-W20", *ranked(10, 10, 10, 10), *ranked(*[10] * 7, first=6))
    after = week("2026-W21", *ranked(*[10] * 9), Ranked(rank=10, slug="m11", tokens=10))
    assert told(diff(before, after, ours=NOTHING, today=TODAY)) == [("entrant", "m11"), ("dropout", "m10")]


def test_outside_the_top_ten_only_our_own_models_are_looked_at() -> None:
    ours = Ours(models=(OurModel(served="fast", upstream="openrouter", asked="v/m12"),))
    before, after = week("2026-W20", *ranked(*[10] * 12)), week("2026-W21", *ranked(*[10] * 10, 20, 20))
    assert told(diff(before, after, ours=NOTHING, today=TODAY)) == []
    assert told(diff(before, after, ours=ours, today=TODAY)) == [("rise", "m12")]


CATALOGUE = Catalogue(
    read_at="2026-05-25T06:00:00Z",
    models=(
        ListedModel(id="deepseek/deepseek-v4-flash", slug="deepseek/deepseek-v4-flash-2026-04-20",
                    name="DeepSeek: DeepSeek V4 Flash", prompt="0.00000014", completion="0.00000028"),
        ListedModel(id="deepseek/deepseek-v4-flash:free", slug="deepseek/deepseek-v4-flash-2026-04-20"),
        ListedModel(id="openrouter/owl-alpha", slug="openrouter/owl-alpha", expires_on="2026-06-01"),
        ListedModel(id="x-ai/grok-4.1-fast", slug="x-ai/grok-4.1-fast-2026-01-01", name="xAI: Grok 4.1 Fast"),
        ListedModel(id="tencent/hy3-preview", slug="tencent/hy3-preview-2026-03-01", name="Tencent: Hy3 Preview"),
    ),
)  # fmt: skip
OURS = Ours(
    models=(
        OurModel(served="flash", upstream="openrouter", asked="deepseek/deepseek-v4-flash"),
        OurModel(served="owl", upstream="openrouter", asked="openrouter/owl-alpha"),
        OurModel(served="gone", upstream="openrouter", asked="stealth/ox-alpha"),
    ),
    routes=(OurRoute(name="token-track", track=Track.TOKEN, models=("flash", "gone")),),
)


def test_names_of_a_table_find_their_ids_and_the_others_are_told() -> None:
    found = join(ranking_of(W21), (CATALOGUE,))
    ids = {one.name: one.id for one in found.ranking.models if one.id}
    assert ids == {
        "DeepSeek-V4-Flash": "deepseek/deepseek-v4-flash",
        "Tencent Hy3 Preview": "tencent/hy3-preview",
        "Owl Alpha": "openrouter/owl-alpha",
        "Grok 4.1 Fast": "x-ai/grok-4.1-fast",
    }
    assert "Step 3.5 Flash" in found.unknown


def test_a_dated_permaslug_is_joined_and_a_foreign_one_is_not_guessed() -> None:
    ranking = week(
        "2026-W21",
        Ranked(rank=1, slug="deepseek/deepseek-v4-flash-2026-04-20", tokens=5),
        Ranked(rank=2, slug="deepseek/deepseek-v4-flash-2025-01-01", tokens=4),
    )
    found = join(ranking, (CATALOGUE,))
    assert [one.id for one in found.ranking.models] == ["deepseek/deepseek-v4-flash", ""]
    assert found.ranking.models[0].name == "DeepSeek V4 Flash"
    assert found.unknown == ("deepseek/deepseek-v4-flash-2025-01-01",)


def test_what_the_list_of_models_says_is_found() -> None:
    before = msgspec.structs.replace(
        CATALOGUE,
        read_at="2026-05-18T06:00:00Z",
        models=(msgspec.structs.replace(CATALOGUE.models[0], prompt="0.0000001"), *CATALOGUE.models[1:],
                ListedModel(id="stealth/ox-alpha")),
    )  # fmt: skip
    after = join(ranking_of(W21), (CATALOGUE,)).ranking
    found = diff(None, after, ours=OURS, models=CATALOGUE, models_before=before, today=TODAY)
    listed = [(one.kind.value, one.subject.id) for one in found.findings if one.said_by]
    assert listed == [
        ("price", "deepseek/deepseek-v4-flash"),
        ("expiring", "openrouter/owl-alpha"),
        ("vanished", "stealth/ox-alpha"),
    ]
    assert found.findings[2].notes == ("It is offered until 2026-06-01: 7 days from now.",)
    assert found.findings[1].subject.routes == ("token-track",)


def test_without_a_list_of_models_nothing_vanished() -> None:
    found = diff(ranking_of(W20), ranking_of(W21), ours=OURS, today=TODAY)
    assert {one.kind for one in found.findings} == {Kind.RISE, Kind.ENTRANT, Kind.DROPOUT}
    assert found.findings[0].subject.served == ("flash",)
    assert any("No list of models" in note for note in found.notes)


def test_a_week_from_a_table_meets_one_from_the_api() -> None:
    api = week("2026-W20", Ranked(rank=1, slug="deepseek/deepseek-v4-flash-2026-04-20", tokens=2_070_000_000_000))
    found = diff(join(api, (CATALOGUE,)).ranking, ranking_of(W21), ours=NOTHING, today=TODAY)
    assert only(found, "DeepSeek-V4-Flash").wow_from is WowFrom.COMPUTED
    assert "It was called deepseek/deepseek-v4-flash-2026-04-20 the week before" in str(found.findings[0].notes)


def test_of_two_models_of_one_name_the_vendor_decides_and_without_one_nobody() -> None:
    two = Catalogue(read_at="now", models=(ListedModel(id="openrouter/owl-alpha"), ListedModel(id="sim/owl-alpha")))
    with_vendor = week("2026-W21", Ranked(rank=1, slug="Owl Alpha", vendor="OpenRouter"))
    assert join(with_vendor, (two,)).ranking.models[0].id == "openrouter/owl-alpha"
    assert join(week("2026-W21", Ranked(rank=1, slug="Owl Alpha")), (two,)).unknown == ("Owl Alpha",)
    other = Catalogue(read_at="now", models=(ListedModel(id="z-ai/glm-4.6"),))
    named = week("2026-W21", Ranked(rank=1, slug="GLM 4.6", vendor="Zhipu"), Ranked(rank=2, slug="4.6", vendor="GLM"))
    assert [one.id for one in join(named, (other,)).ranking.models] == ["z-ai/glm-4.6", ""]


SLUGS = st.lists(st.sampled_from([f"v/m{at}" for at in range(14)]), unique=True, max_size=14)


@given(SLUGS, SLUGS, st.data())
def test_every_model_of_either_week_is_told_once_and_findings_do_not_depend_on_the_order(
    before: list[str], after: list[str], data: st.DataObject
) -> None:
    def ranking(name: str, slugs: list[str]) -> Ranking:
        counts = data.draw(st.lists(st.integers(0, 200), min_size=len(slugs), max_size=len(slugs)))
        rows = [
            Ranked(rank=at, slug=slug, tokens=count)
            for at, (slug, count) in enumerate(zip(slugs, counts, strict=True), 1)
        ]
        return week(name, *rows)

    old, new = ranking("2026-W20", before), ranking("2026-W21", after)
    found = diff(old, new, ours=NOTHING, today=TODAY)
    assert sorted(move.model.slug for move in found.moves) == sorted({*before, *after})
    assert len({one.subject.key for one in found.findings}) == len(found.findings)
    shuffled = msgspec.structs.replace(old, models=tuple(reversed(old.models)))
    again = diff(shuffled, new, ours=NOTHING, today=TODAY)
    assert {one.subject.key: one for one in again.findings} == {one.subject.key: one for one in found.findings}
