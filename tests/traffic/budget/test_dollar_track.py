"""What becomes of a request for the dollar track, and what its terms and incidents are made of."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.traffic.budget.admission import DollarAsk, DollarRules, Word, decide, refusal_of
from fleet.traffic.budget.book import Book
from fleet.traffic.budget.calendar import BudgetCalendar
from fleet.traffic.budget.exact import NotExact
from fleet.traffic.budget.incidents import open_incidents
from fleet.traffic.budget.limits import FLEET, Limit
from fleet.traffic.budget.terms import Terms, TermsHistory
from fleet.traffic.budget.ticket import NotAPattern, ticket_matcher
from fleet.traffic.policy import DollarTerms
from fleet.vocabulary.contracts.ledger import Note
from fleet.vocabulary.money import NotMoney
from tests.traffic.budget.money_rows import NOON, USD, at, filled, reservation, spent_row

UTC_MONTHS = BudgetCalendar.of("UTC")
DOLLARS = DollarTerms(monthly_usd="100", over_budget="refuse")


def rules(dollar: DollarTerms = DOLLARS, share: str = "1") -> DollarRules:
    terms = Terms.of(dollar, budget_share=share, since=0)
    is_ticket = ticket_matcher(dollar.ticket_pattern)
    return DollarRules.of(dollar, TermsHistory((terms,)), is_ticket, budget_share=share)


ASK = DollarAsk(ticket="SEC-1", incident="", pico=USD)
INCIDENT = DollarAsk(ticket="SEC-1", incident="INC-7", pico=USD, may_incident=True)


def test_a_request_with_a_ticket_that_fits_is_let_in_under_the_cap_and_its_ticket_s_own() -> None:
    decision = decide(ASK, rules(), Book(UTC_MONTHS), (), NOON)
    assert decision.word is Word.ADMIT
    assert [(str(limit.scope), limit.pico, limit.forever) for limit in decision.limits] == [
        ("track dollar", 100 * USD, False),
        ("ticket SEC-1", 50 * USD, True),
    ]


@pytest.mark.parametrize("ticket", ["", "sec-1", "SEC-1x", "x SEC-1", "SEC-1\n", "S" * 4000 + "-1", "SEC-１"])
def test_without_a_ticket_that_matches_it_is_refused_and_told_what_to_send(ticket: str) -> None:
    decision = decide(replace(ASK, ticket=ticket), rules(), Book(UTC_MONTHS), (), NOON)
    assert (decision.word, decision.status, decision.code) == (Word.REFUSE, 403, "ticket_required")
    assert "x-fleet-ticket" in decision.message
    assert len(decision.message) < 400


def test_a_route_that_folds_without_a_ticket_folds_and_one_with_nowhere_to_fold_to_refuses() -> None:
    folding = rules(DollarTerms(monthly_usd="100", without_ticket="fold"))
    decision = decide(replace(ASK, ticket=""), folding, Book(UTC_MONTHS), (), NOON)
    assert (decision.word, decision.why) == (Word.FOLD, "ticket")
    assert decide(replace(ASK, ticket="", folds=False), folding, Book(UTC_MONTHS), (), NOON).word is Word.REFUSE


def test_what_does_not_fit_below_the_cap_is_refused_with_the_time_at_which_it_opens_again() -> None:
    book = filled([*spent_row("r/1", 90 * USD, at("2026-11-17 09:00"), ticket="OPS-1")], UTC_MONTHS)
    book.add(reservation("r2/1", 5 * USD, ticket="OPS-2"))
    decision = decide(
        replace(ASK, pico=11 * USD),
        rules(DollarTerms(monthly_usd="100", over_budget="refuse", overrun="9")),
        book,
        (),
        NOON,
    )
    assert (decision.word, decision.status, decision.code) == (Word.REFUSE, 402, "budget_exhausted")
    assert decision.reset == at("2026-12-01 00:00")
    for word in ("100.00", "90.00", "5.00", "11.00", "2026-12-01 00:00 UTC"):
        assert word in decision.message


def test_over_budget_folds_where_the_terms_say_so() -> None:
    book = filled(spent_row("r/1", 100 * USD), UTC_MONTHS)
    decision = decide(ASK, rules(DollarTerms(monthly_usd="100")), book, (), NOON)
    assert (decision.word, decision.why, decision.code) == (Word.FOLD, "budget", "budget_exhausted")


def test_a_ticket_that_used_up_its_own_cap_is_stopped_and_others_are_not() -> None:
    book = filled(spent_row("r/1", 50 * USD, at("2026-10-05 10:00")), UTC_MONTHS)
    decision = decide(ASK, rules(), book, (), NOON)
    assert (decision.code, decision.reset) == ("ticket_budget_exhausted", None)
    assert decide(replace(ASK, ticket="OPS-9"), rules(), book, (), NOON).word is Word.ADMIT


def test_only_an_open_incident_and_a_key_with_its_scope_may_spend_between_cap_and_ceiling() -> None:
    book = filled(spent_row("r/1", 100 * USD), UTC_MONTHS)
    assert decide(INCIDENT, rules(), book, {"INC-7"}, NOON).word is Word.ADMIT
    assert decide(INCIDENT, rules(), book, {"INC-7"}, NOON).incident == "INC-7"
    assert decide(INCIDENT, rules(), book, (), NOON).code == "incident_not_open"
    assert decide(replace(INCIDENT, may_incident=False), rules(), book, {"INC-7"}, NOON).code == "incident_not_allowed"
    assert decide(replace(INCIDENT, pico=16 * USD), rules(), book, {"INC-7"}, NOON).code == "incident_ceiling"
    assert decide(ASK, rules(), book, {"INC-7"}, NOON).code == "budget_exhausted"


def test_a_downgraded_week_stops_all_but_incidents_and_says_which_week_it_was() -> None:
    book = filled(spent_row("r/1", 50 * USD, NOON), UTC_MONTHS)
    monday = at("2026-11-23 08:00")
    decision = decide(replace(ASK, ticket="OPS-1"), rules(), book, (), monday)
    assert (decision.code, decision.reset) == ("budget_downgraded", at("2026-11-30 00:00"))
    assert "2026-W47" in decision.message
    assert decide(INCIDENT, rules(), book, {"INC-7"}, monday).word is Word.ADMIT


def test_a_front_admits_its_share_of_every_cap_and_no_more() -> None:
    both = (Book(UTC_MONTHS), Book(UTC_MONTHS))
    half, promised = rules(share="0.5"), 0
    for number in range(200):
        book = both[number % 2]
        ask = DollarAsk(ticket=f"OPS-{number}", incident="", pico=3 * USD)
        decision = decide(ask, half, book, (), NOON)
        if decision.word is Word.ADMIT:
            row = reservation(f"r{number}/1", ask.pico, ticket=ask.ticket)
            assert book.reserve(row, decision.limits) is None
            promised += ask.pico
    assert 94 * USD < promised <= 100 * USD


@pytest.mark.parametrize(
    ("dollars", "reset", "told"),
    [
        (4, "2026-12-01 00:00", "it opens again 2026-12-01 00:00 UTC"),
        (2, None, "it fits as soon as what is reserved turns out to cost less"),
        (11, "2026-12-01 00:00", "2026-12-01 00:00 UTC, for what costs less: a smaller max_tokens does"),
    ],
)
def test_what_a_reservation_met_is_told_with_the_sums_of_its_scope_and_when_it_fits(
    dollars: int, reset: str | None, told: str
) -> None:
    book = filled([*spent_row("r/1", 7 * USD), reservation("r2/1", 2 * USD)], UTC_MONTHS)
    found = refusal_of(Limit(FLEET, 10 * USD), dollars * USD, book, NOON)
    assert (found.status, found.reset) == (402, None if reset is None else at(reset))
    assert "the whole fleet may cost 10.00 USD for 2026-11; 7.00 are spent, 2.00 are reserved" in found.message
    assert found.message.endswith(told)


# --- terms ------------------------------------------------------------------------------------------------------------


def test_terms_are_exact_and_a_share_of_them_is_rounded_down() -> None:
    third = Terms.of(DollarTerms(monthly_usd="800", ceiling="1.15"), budget_share="0.333333333333", since=0)
    assert third.cap_pico == 266_666_666_666_400
    assert third.ceiling_pico == third.cap_pico * 115 // 100
    assert third.overrun == Fraction(23, 20)


@pytest.mark.parametrize(
    ("dollar", "share", "error"),
    [
        (DollarTerms(monthly_usd="eight"), "1", NotMoney),
        (DollarTerms(monthly_usd="8", ceiling="-1"), "1", NotExact),
        (DollarTerms(monthly_usd="8"), "1.1", NotExact),
        (DollarTerms(monthly_usd="8", overrun="1e1"), "1", NotExact),
    ],
)
def test_terms_that_are_no_numbers_are_refused(dollar: DollarTerms, share: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        Terms.of(dollar, budget_share=share, since=0)


def test_a_ceiling_below_the_cap_is_the_cap() -> None:
    assert Terms.of(DollarTerms(monthly_usd="8", ceiling="0.5"), budget_share="1", since=0).ceiling_pico == 8 * USD


@given(st.permutations(range(5)))
def test_the_history_of_terms_is_the_same_from_notes_in_any_order(order: list[int]) -> None:
    all_terms = [Terms(number * 100, (number + 1) * USD, 2 * USD, Fraction("1.15")) for number in range(5)]
    notes = [all_terms[index].note() for index in order]
    odd = [
        replace_data(notes[0], data)
        for data in ("", "{}", "[]", json.dumps({"cap": 1, "ceiling": 1, "overrun": "1/0"}))
    ]
    history = TermsHistory.of([*odd, *notes], replace(all_terms[-1], since=900))
    assert history.all == tuple(all_terms)
    assert [history.at(instant).cap_pico // USD for instant in (-5, 0, 99, 100, 450, 9999)] == [1, 1, 1, 2, 5, 5]


def replace_data(note: Note, data: str) -> Note:
    return Note(id="odd", kind=note.kind, subject=note.subject, at_milliseconds=50, data=data)


def test_new_terms_are_added_to_the_history_once() -> None:
    old, new = Terms(100, USD, USD, Fraction(1)), Terms(200, 2 * USD, 2 * USD, Fraction(1))
    assert TermsHistory.of([old.note()], new).all == (old, new)
    assert TermsHistory.of([old.note(), new.note()], replace(new, since=300)).newest == new


# --- incidents and tickets --------------------------------------------------------------------------------------------


def opened(name: str, since: int, until: int | None = None) -> Note:
    return Note(
        id=f"o/{name}/{since}", kind="incident_open", subject=name, at_milliseconds=since, until_milliseconds=until
    )


def closed(name: str, since: int) -> Note:
    return Note(id=f"c/{name}/{since}", kind="incident_closed", subject=name, at_milliseconds=since)


@given(st.permutations([opened("INC-7", 10, 30), closed("INC-7", 20), opened("INC-7", 40), opened("INC-8", 10, 20)]))
def test_an_incident_is_open_from_its_note_until_it_lapses_or_is_closed(notes: list[Note]) -> None:
    told = {instant: sorted(open_incidents(notes, instant)) for instant in (9, 10, 19, 20, 25, 40, 99)}
    assert told == {9: [], 10: ["INC-7", "INC-8"], 19: ["INC-7", "INC-8"], 20: [], 25: [], 40: ["INC-7"], 99: ["INC-7"]}


def test_opened_and_closed_at_one_instant_is_closed() -> None:
    assert open_incidents([closed("INC-7", 10), opened("INC-7", 10)], 10) == {}


def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time_here() -> None:
    assert ticket_matcher("^(a+)+$")("a" * 100 + "!") is False


def test_a_pattern_that_is_none_is_refused_with_why() -> None:
    with pytest.raises(NotAPattern, match="RE2"):
        ticket_matcher("(")
    with pytest.raises(NotAPattern):
        ticket_matcher(r"(a)\1")
