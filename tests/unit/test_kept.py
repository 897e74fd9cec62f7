"""Figures that take long are kept and made anew behind the readers' backs; quick ones are always new."""

import asyncio

import pytest

from workers import kept
from workers.kept import Kept
from workflows.domain.errors import Unavailable


class Figures:
    """Counts upwards; `gate` holds the making back, `fails` breaks it."""

    def __init__(self) -> None:
        self.made = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False
        self.done = asyncio.Event()

    async def make(self) -> int:
        await self.gate.wait()
        if self.fails:
            raise Unavailable("away")
        self.made += 1
        self.done.set()
        return self.made


async def test_what_is_made_quickly_is_made_for_each_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "QUICK_SECONDS", 1e9)
    figures, keeper = Figures(), Kept[int]()
    assert [await keeper.get("a", figures.make) for _ in range(3)] == [1, 2, 3]


async def test_what_takes_long_is_given_at_once_and_renewed_by_one_making_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "QUICK_SECONDS", -1.0)
    monkeypatch.setattr(kept, "REST", 0)
    figures, keeper = Figures(), Kept[int]()
    assert await keeper.get("a", figures.make) == 1
    figures.gate.clear()
    assert [await keeper.get("a", figures.make) for _ in range(3)] == [1, 1, 1], "nobody waits"
    assert await asyncio.wait_for(Kept[int]().get("b", Figures().make), 60) == 1
    figures.done.clear()
    figures.gate.set()
    await asyncio.wait_for(figures.done.wait(), 60)
    assert await keeper.get("a", figures.make) == 2, "the three readers had one made"


async def test_a_figure_stays_as_long_as_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "QUICK_SECONDS", -1.0)
    monkeypatch.setattr(kept, "REST", 1e9)
    figures, keeper = Figures(), Kept[int]()
    assert [await keeper.get("a", figures.make) for _ in range(3)] == [1, 1, 1]
    assert await keeper.get("b", figures.make) == 2, "another question"
    await asyncio.sleep(0)
    assert figures.made == 2


async def test_while_newer_ones_cannot_be_made_the_old_ones_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "QUICK_SECONDS", -1.0)
    monkeypatch.setattr(kept, "REST", 0)
    figures, keeper = Figures(), Kept[int]()
    await keeper.get("a", figures.make)
    figures.fails = True
    for _ in range(3):
        assert await keeper.get("a", figures.make) == 1
        await asyncio.sleep(0.001)
    figures.fails = False
    figures.done.clear()
    await keeper.get("a", figures.make)
    await asyncio.wait_for(figures.done.wait(), 60)
    assert await keeper.get("a", figures.make) == 2
