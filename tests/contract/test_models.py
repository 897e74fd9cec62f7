"""Whoever keeps models: one champion, refusals are final, and a rollback goes back to the one before."""

from datetime import date
from decimal import Decimal

import pytest

from tests.fakes.desk import MemoryModels
from tests.storeroom import MORNING, Storeroom
from workflows.domain.errors import Conflict, NotFound
from workflows.domain.identity import digest
from workflows.domain.models import GateResult, ModelStatus, TrainedModel, TrainingSet
from workflows.domain.ports import Models

DAY = date(2025, 3, 1)
PASSED = GateResult(passed=True, reasons=("ok: better",))


@pytest.fixture(params=["memory", "postgres"])
def models(request: pytest.FixtureRequest) -> Models:
    """Each of them."""
    if request.param == "memory":
        return MemoryModels()
    storeroom: Storeroom = request.getfixturevalue("storeroom")
    return storeroom.models


async def registered(models: Models, name: str) -> str:
    """A candidate."""
    key = digest(name)
    trained = TrainedModel(digest=key, trained_through=DAY, rows=10, rounds=2, seconds=Decimal("0.5"))
    version = await models.register(trained, TrainingSet(sha256=key, series=1, last_day=DAY, known_at=MORNING))
    assert (version.digest, version.facts) == (key, trained)
    return key


async def test_registering_twice_is_registering_once(models: Models) -> None:
    key = await registered(models, "a")
    await registered(models, "a")
    (version,) = await models.versions()
    assert (version.digest, version.number, version.status) == (key, 1, ModelStatus.CANDIDATE)
    assert await models.champion() is None


async def test_there_is_one_champion(models: Models) -> None:
    first, second = await registered(models, "a"), await registered(models, "b")
    for key in (first, second):
        await models.judge(key, ModelStatus.CANDIDATE, None, PASSED)
    await models.promote(first, "test")
    assert (await models.promote(first, "test")).status is ModelStatus.CHAMPION
    await models.promote(second, "test")
    champion = await models.champion()
    assert champion is not None
    assert champion.digest == second
    assert [version.status for version in await models.versions()] == [ModelStatus.CHAMPION, ModelStatus.RETIRED]


async def test_a_version_is_found_by_an_unambiguous_beginning(models: Models) -> None:
    key = await registered(models, "a")
    await registered(models, "b")
    for beginning in (key, key[:12]):
        found = await models.find(beginning)
        assert found is not None
        assert found.digest == key
    assert await models.find("") is None
    assert await models.find("no") is None


async def test_what_the_gate_refused_is_not_promoted(models: Models) -> None:
    key = await registered(models, "a")
    gate = GateResult(passed=False, reasons=("failed: worse",))
    judged = await models.judge(key, ModelStatus.REFUSED, None, gate)
    assert (judged.status, judged.gate) == (ModelStatus.REFUSED, gate)
    with pytest.raises(Conflict):
        await models.promote(key, "pat")
    with pytest.raises(NotFound):
        await models.promote(digest("nothing"), "pat")


async def test_what_no_gate_has_let_through_is_not_promoted(models: Models) -> None:
    key = await registered(models, "a")
    with pytest.raises(Conflict):
        await models.promote(key, "pat")
    assert await models.champion() is None
    await models.judge(key, ModelStatus.AWAITING_APPROVAL, None, PASSED)
    assert (await models.promote(key, "pat")).status is ModelStatus.CHAMPION
    other = await registered(models, "b")
    await models.judge(other, ModelStatus.CANDIDATE, None, PASSED)
    await models.promote(other, "pat")
    assert (await models.promote(key, "pat")).status is ModelStatus.CHAMPION, "a champion of before may come back"


async def test_a_rollback_goes_back_to_the_champion_before(models: Models) -> None:
    with pytest.raises(Conflict):
        await models.rollback("pat")
    first, second = await registered(models, "a"), await registered(models, "b")
    for key in (first, second):
        await models.judge(key, ModelStatus.CANDIDATE, None, PASSED)
    await models.promote(first, "test")
    await models.promote(second, "test")
    assert (await models.rollback("pat")).digest == first
    champion = await models.champion()
    assert champion is not None
    assert champion.digest == first
