"""A folder is read as it is meant, and refused with the file, the line and what to do."""

import gzip
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from activities.learning.trial import economics_of, facts_of, observed, trial_of
from connectors.studies.folder import read_study
from tests.bench.study_folders import demo_world
from tests.unit.study_world import study_folder, write_csv
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import MISSING, Period, Study, Terms, Unmet, settled

HEADER = "item,location,date,quantity"


def demand(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "demand.csv").write_text("\n".join((header, *rows)) + "\n")
    return folder


def quantities(study: Study) -> dict[str, list[int]]:
    return {one.item: [MISSING] * one.first + list(one.quantities) for one in study.series}


def test_no_row_before_the_first_sale_is_not_listed_and_later_a_zero(tmp_path: Path) -> None:
    rows = ("b,L,2024-01-15,4", "a,L,2024-01-01,0", "a,L,2024-01-15,3", "b,L,2024-02-05,1", "a,L,2024-01-29,")
    study = read_study(demand(tmp_path, *rows))

    assert (study.period, study.first_day, study.periods, study.scale) == (Period.WEEK, date(2024, 1, 1), 6, 1)
    assert quantities(study) == {"a": [0, -1, 3, 0, -1, 0], "b": [-1, -1, 4, 0, 0, 1]}
    assert [one.first for one in study.series] == [0, 2]
    seen, _ = observed(study)
    assert np.isnan(seen[1]).tolist() == [True, True, False, False, False, False]
    assert study.notes == {"quantities_missing": 1}


def test_a_period_out_of_stock_is_censored_and_what_it_sold_is_kept(tmp_path: Path) -> None:
    rows = ("a,L,2024-01-01,5,true", "a,L,2024-01-02,2,False", "a,L,2024-01-03,3,")
    study = read_study(demand(tmp_path, *rows, header=HEADER + ",in_stock"))
    wanted, sold = observed(study)

    assert np.isnan(wanted[0]).tolist() == [False, True, False]
    assert sold[0].tolist() == [5.0, 2.0, 3.0]


def test_returns_are_clipped_and_counted(tmp_path: Path) -> None:
    study = read_study(demand(tmp_path, "a,L,2024-01-01,-5", "a,L,2024-01-02,2"))

    assert quantities(study) == {"a": [0, 2]}
    assert study.notes == {"returns_clipped": 1}


def test_one_fraction_puts_the_whole_folder_on_thousandths(tmp_path: Path) -> None:
    study = read_study(demand(tmp_path, "a,L,2024-01-01,0.25", "b,L,2024-01-02,3"))

    assert study.scale == 1_000
    assert quantities(study) == {"a": [250, 0], "b": [-1, 3_000]}


def test_a_fraction_in_a_pack_counts_and_whole_decimals_do_not(tmp_path: Path) -> None:
    demand(tmp_path, "a,L,2024-01-01,2.0", "a,L,2024-01-02,1e1")
    assert read_study(tmp_path).scale == 1
    write_csv(tmp_path / "items.csv", "item,location,pack", [("a", "L", "0.5")])
    assert read_study(tmp_path).scale == 1_000


@pytest.mark.parametrize(
    ("days", "period"),
    [
        (("2024-01-01", "2024-02-01", "2024-05-01"), Period.MONTH),
        (("2024-01-03", "2024-01-10", "2024-01-31"), Period.WEEK),
        (("2024-01-01", "2024-01-02", "2024-01-08"), Period.DAY),
    ],
)
def test_the_period_follows_from_the_dates(tmp_path: Path, days: tuple[str, ...], period: Period) -> None:
    study = read_study(demand(tmp_path, *(f"a,L,{day},1" for day in days)))

    assert study.period is period
    assert study.day(study.periods - 1) == date.fromisoformat(days[-1])


def test_marks_line_ends_gzip_case_and_blanks_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeffItem, LOCATION,date,Quantity\r\n a ,L,2024-01-01 00:00:00,1\r\n\r\na,L,2024-01-02, 2 \r\n"
    (tmp_path / "demand.csv.gz").write_bytes(gzip.compress(text.encode()))

    assert quantities(read_study(tmp_path)) == {"a": [1, 2]}


def test_terms_come_from_the_item_then_from_the_defaults(tmp_path: Path) -> None:
    study = read_study(study_folder(tmp_path, defaults={"order_cost": 7, "lead_time_periods": 9, "pack": 6}))
    economics, facts = economics_of(study), facts_of(study)

    assert economics.lead.tolist() == [1, 2] * 3
    assert set(economics.order_cost) == {7.0}
    assert set(economics.pack) == {6}
    assert set(economics.minimum) == {1}
    assert facts.categories == {"family": ("a", "b") * 3}
    assert study.series[0].terms.holding_per_unit_period == Decimal("0.2")


def test_without_a_state_everybody_starts_at_the_static_level_and_with_one_at_what_it_lists(tmp_path: Path) -> None:
    folder = study_folder(tmp_path)
    level = trial_of(read_study(folder)).on_hand
    assert (level > 0).all()
    write_csv(folder / "state.csv", "item,location,on_hand,arrives_1,arrives_3", [("item-1", "L1", 4, 2, 5)])
    trial = trial_of(read_study(folder))

    assert trial.on_hand.tolist() == [0, 4, 0, 0, 0, 0]
    assert trial.arrivals[:2].tolist() == [[0, 0, 0], [2, 0, 5]]


def test_holding_follows_from_the_cost_and_shortage_from_the_margin(tmp_path: Path) -> None:
    terms = Terms(unit_cost=Decimal(52), price=Decimal(60), lead_time_periods=1)
    found = settled(terms, Period.WEEK, None)

    assert (found.holding, found.shortage) == (Decimal("0.2"), Decimal(8))
    assert settled(Terms(lead_time_periods=1), Period.WEEK, 0.95).holding == 1


def test_items_without_demand_are_left_out_and_counted(tmp_path: Path) -> None:
    demand(tmp_path, "a,L,2024-01-01,1", "a,L,2024-01-02,1")
    write_csv(tmp_path / "items.csv", "item,location", [("a", "L"), ("z", "L")])
    study = read_study(tmp_path)

    assert [one.item for one in study.series] == ["a"]
    assert study.notes == {"items_without_demand": 1}


def test_months_are_counted_over_years() -> None:
    assert Period.MONTH.after(date(2023, 11, 1), 3) == date(2024, 2, 1)
    assert Period.MONTH.between(date(2023, 11, 1), date(2024, 2, 1)) == 3


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (("a,L,2024-01-01,x",), "demand.csv line 2: quantity 'x' is not a number"),
        (("a,L,2024-01-01,1", "a,L,2024-01-02,inf"), "line 3: quantity 'inf'"),
        (("a,L,2024-01-01,1", 'a,L,2024-01-02,"1,5"'), "no thousands separators"),
        (("a,L,1.2.2024,1",), "line 2: date '1.2.2024' is not a date: write it as 2024-04-08"),
        (("a,L,1024-01-01,1",), "lies before 1900"),
        (("a,L,2024-01-01,1", "", "a,L,2024-01-01,2"), "line 4: a second row of item a at L for 2024-01-01"),
        (("a,L,2024-01-01",), "line 2: has 3 fields, the header 4"),
        ((" ,L,2024-01-01,1",), "line 2: the item has no name"),
        ((), "has a header and no rows"),
        (("a,L,2024-01-01,1",), "one date tells no period"),
    ],
)
def test_bad_demand_is_refused_with_its_line(tmp_path: Path, rows: tuple[str, ...], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_study(demand(tmp_path, *rows))
    assert says in str(refused.value)


def test_a_bad_flag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="line 2: in_stock 'perhaps' is neither true nor false"):
        read_study(demand(tmp_path, "a,L,2024-01-01,1,perhaps", header=HEADER + ",in_stock"))


def test_a_date_off_the_grid_is_refused(tmp_path: Path) -> None:
    demand(tmp_path, "a,L,2024-01-01,1", "a,L,2024-01-09,1")
    (tmp_path / "rules.json").write_text('{"period": "week"}')

    with pytest.raises(
        InvalidInput, match="line 3: 2024-01-09 is not the first day of a week: it must be a Monday, as"
    ):
        read_study(tmp_path)
    (tmp_path / "rules.json").write_text('{"period": "month"}')
    with pytest.raises(InvalidInput, match="it must be the 1st"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("demand.csv", "", "is empty"),
        ("demand.csv", "item,date,quantity\na,2024-01-01,1\n", "line 1: lacks location"),
        ("demand.csv", "item,item,location,date,quantity\n", "column item is there twice"),
        ("items.csv", "item,location,pack\nitem-1,L1,-3\n", "items.csv line 2: pack: Input should be greater than"),
        ("items.csv", "item,location,pack\nitem-1,L1,much\n", "items.csv line 2: pack 'much' is not a number"),
        (
            "items.csv",
            "item,location,lead_time_periods\na,L1,1.5\n",
            "line 2: lead_time_periods: Input should be a valid",
        ),
        ("items.csv", "item,location\nitem-1,L1\nitem-1,L1\n", "line 3: a second row of item item-1 at L1"),
        ("items.csv", "item,location\nitem-1,L1\n", "item item-0 at L1 has no holding_per_unit_period"),
        ("state.csv", "item,location\n", "lacks on_hand"),
        ("state.csv", "item,location,on_hand\nitem-1,L1,-1\n", "negative"),
        ("state.csv", "item,location,on_hand,arrives_1\nitem-1,L1,1,-1\n", "line 2: arrives_1 is negative"),
        ("rules.json", "{", "rules.json is not JSON"),
        ("rules.json", '{"a": 1E+9999999999999999999}', "rules.json is not JSON"),
        (
            "rules.json",
            '{"period": "year"}',
            "rules.json: period: Input should be 'day', 'week' or 'month' (it is year)",
        ),
        ("rules.json", '{"period": "week"}', "needs rules.json with at least period, start and rounds"),
    ],
)
def test_a_bad_file_is_refused_with_what_to_do(tmp_path: Path, name: str, text: str, says: str) -> None:
    folder = study_folder(tmp_path)
    (folder / name).write_text(text)

    with pytest.raises(InvalidInput) as refused:
        trial_of(read_study(folder))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"start": "2024-02-06"}, "start 2024-02-06 does not begin a week"),
        ({"rounds": 60}, "60 rounds after"),
        ({"start": "2022-12-05"}, "demand.csv has 2023-01-02 to"),
    ],
)
def test_rules_that_ask_for_what_is_not_there_are_refused(tmp_path: Path, rules: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        trial_of(read_study(study_folder(tmp_path, **{"rounds": 6, **rules})))  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a folder"):
        read_study(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match=r"has no demand\.csv"):
        read_study(tmp_path)


def test_an_item_that_is_not_yet_listed_at_the_start_shows_nothing_of_its_future(tmp_path: Path) -> None:
    folder = study_folder(tmp_path, items=1, weeks=10, rounds=3)
    with (folder / "demand.csv").open("a") as file:
        file.write("late,L1,2023-03-06,9\n")
    rules = json.loads((folder / "rules.json").read_text())
    terms = {"lead_time_periods": 1, "holding_per_unit_period": 1, "shortage_per_unit": 2}
    (folder / "rules.json").write_text(json.dumps({**rules, "defaults": terms, "unmet": "backlog"}))
    trial = trial_of(read_study(folder))

    assert np.isnan(trial.past[1]).all()
    assert trial.demand[1].tolist() == [MISSING, MISSING, 9]
    assert trial.on_hand[1] == 0
    assert trial.economics.unmet is Unmet.BACKLOG


def test_the_demo_world_becomes_a_daily_folder_of_its_past(tmp_path: Path) -> None:
    study = read_study(demo_world(7, tmp_path / "world", items=1, test_days=10))
    rules, known, rounds = study.schedule()

    assert (study.period, len(study.series), rounds, rules.unmet) == (Period.DAY, 3, 10, Unmet.LOST)
    assert known + rounds == study.periods, "the test ends with the past, even where nothing was sold on its last day"
    assert any(one.censored for one in study.series), "empty shelves are told"
    trial_of(study)  # every series has the terms that a simulation needs
    again = demo_world(7, tmp_path / "again", items=1, test_days=10)
    assert (again / "demand.csv").read_bytes() == (tmp_path / "world" / "demand.csv").read_bytes()
