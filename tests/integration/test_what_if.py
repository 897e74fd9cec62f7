"""A stretch of the live business, read as a study: stock and deliveries as they were, and nothing that came later."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from connectors.postgres import studies
from connectors.postgres.studies import PostgresStudies
from tests.integration.test_money import DAYS, FIRST, ITEMS, lived, usual
from tests.storeroom import Storeroom
from workers.what_if import LiveWhatIf
from workflows.domain.errors import InvalidInput
from workflows.domain.limits import ServiceAim, ServiceMeasure
from workflows.domain.policies import Policy
from workflows.domain.studies import MISSING, Period
from workflows.domain.what_if import Question, Scope

LAST = FIRST + timedelta(days=DAYS - 1)
START = LAST - timedelta(days=7)


async def test_a_stretch_is_what_was_known_and_what_then_happened(storeroom: Storeroom) -> None:
    await lived(storeroom)
    stretch = await PostgresStudies(storeroom.database).newest(Scope(), 1)
    study = stretch.study
    rules, known, rounds = study.schedule()
    assert (study.period, rules.start, rounds, len(study.series)) == (Period.DAY, START, 7, ITEMS)
    assert study.day(known) == START + timedelta(days=1)
    assert study.day(study.periods - 1) == LAST, "the day that is not over is not there"
    one = next(series for series in study.series if series.item == "ITEM-008")
    moves = storeroom.rows("SELECT * FROM movement WHERE item = 'ITEM-008' AND occurred_at::date <= %s", START)
    assert one.on_hand == sum((m["counted_units"] or 0) + m["on_hand_delta"] for m in moves)
    for series in study.series:
        empty = {r["day"] for r in storeroom.rows("SELECT day FROM stockout_day WHERE item = %s", series.item)}
        number = int(series.item[-3:]) - 1
        by_day = {study.day(series.first + n): units for n, units in enumerate(series.quantities)}
        assert by_day[FIRST - timedelta(days=9)] == usual(number, 9)
        for day in (LAST - timedelta(days=back) for back in range(7)):
            assert by_day[day] == (MISSING if day in empty else usual(number, (FIRST - day).days))
        under_way = storeroom.rows(
            """SELECT m.occurred_at::date AS day, m.on_hand_delta AS units FROM movement m
               JOIN purchase_order o USING (order_id) WHERE m.item = %s AND m.kind = 'receipt'
                 AND o.ordered_at::date <= %s AND m.occurred_at::date > %s""",
            series.item, START, START,
        )  # fmt: skip
        expected = [0] * rounds
        for row in under_way:
            if row["day"] <= LAST:
                expected[(row["day"] - START).days - 1] += row["units"]
        assert list(series.arrivals) == expected
    assert any(sum(series.arrivals) for series in study.series), "the story has orders under way"


async def test_terms_are_those_of_today(storeroom: Storeroom) -> None:
    await lived(storeroom)
    stretch = await PostgresStudies(storeroom.database).newest(Scope(item="ITEM-003"), 1)
    ((lane,),) = (bought.lanes for bought in stretch.bought)
    orders = storeroom.one("SELECT count(*)::numeric / count(DISTINCT order_id) AS lines FROM order_line")
    assert lane.terms.lead_time_periods == 4, "what deliveries took, not the three days of the catalog"
    assert lane.terms.order_cost is not None
    assert abs(lane.terms.order_cost - 6 / orders["lines"]) < Decimal("0.000001")
    assert (lane.terms.pack, lane.terms.minimum_order) == (Decimal(6), Decimal(12))
    assert lane.cover_days == 1
    assert lane.terms.shortage_per_unit == Decimal("5.7")


async def test_the_policys_own_words_hold(storeroom: Storeroom) -> None:
    await storeroom.stock()
    aim = ServiceAim(measure=ServiceMeasure.CYCLE, target=Decimal("0.9"))
    row = {"item": "a", "category": "things", "location": "LEEDS", "price": Decimal(9), "goodwill_per_unit": Decimal(0)}
    lane = {"supplier": "s", "unit_cost": Decimal(4), "days": 3, "minimum_order_units": 0, "pack_units": 1,
            "order_cost": Decimal(1), "review_days": 1}  # fmt: skip
    bought = studies._bought(row, [lane], Policy(version=2, service=aim, review_days=9), Decimal("0.25"))
    assert (bought.aim, bought.lanes[0].cover_days) == (Decimal("0.9"), 9)


async def test_a_live_question_is_answered_the_same_each_time(storeroom: Storeroom) -> None:
    await lived(storeroom)
    live = LiveWhatIf(PostgresStudies(storeroom.database))
    question = Question.of({"slip_days": 4, "location": "LEEDS", "weeks": 1})
    before = storeroom.one("SELECT count(*) AS n FROM ledger_entry")
    answer = await live.ask(question)
    assert answer == await live.ask(question)
    assert answer.series == ITEMS
    assert (answer.first_day, answer.last_day) == (str(START + timedelta(days=1)), str(LAST))
    assert answer.changed.fill_rate <= answer.now.fill_rate
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry") == before, "asking stores nothing"


async def test_what_cannot_be_asked_is_told(storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch) -> None:
    found = PostgresStudies(storeroom.database)
    with pytest.raises(InvalidInput, match="nothing that is kept and can be bought matches the question"):
        await found.newest(Scope(), 1)
    await lived(storeroom)
    for scope in (Scope(item="NONE"), Scope(category="none"), Scope(supplier="none"), Scope(location="YORK")):
        with pytest.raises(InvalidInput, match="matches"):
            await found.newest(scope, 1)
    assert len((await found.newest(Scope(category="things", supplier="acme"), 1)).study.series) == ITEMS
    with pytest.raises(InvalidInput, match="ask about fewer weeks"):
        await found.newest(Scope(), 26)
    monkeypatch.setattr(studies, "MOST_SERIES", 5)
    with pytest.raises(InvalidInput, match="more than 5 items at locations match everything: narrow"):
        await found.newest(Scope(), 1)


def test_the_story_is_long_enough() -> None:
    assert START > FIRST > date(2025, 1, 1)
