"""The harness itself: its proxy breaks what it says, its checker finds what is wrong, its children are reaped."""

import hashlib
import json
import operator
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.checker import Evidence, check, no_lost_event, standing
from tests.faults.checker_ledger import chain_hash
from tests.faults.children import Child, ChildDied
from tests.faults.proxy import Catch, Proxies, Proxy
from tests.faults.waiting import NotInTime, until

SHOUTED = b"HELLO\n"


class Shouter:
    """A server that answers each line in capitals, and knows what it heard."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        with link, link.makefile("rb") as lines:
            try:
                for line in lines:
                    self.heard.append(line)
                    link.sendall(line.upper())
            except OSError:
                return


@pytest.fixture
def shouter() -> Iterator[Shouter]:
    server = Shouter()
    yield server
    server.close()


@pytest.fixture
def proxy(shouter: Shouter) -> Iterator[Proxy]:
    loop = Proxies()
    made = Proxy(loop, "shouter", shouter.address)
    yield made
    made.close()
    loop.close()


def linked(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def answered(link: socket.socket, line: bytes = b"hello\n") -> bytes:
    link.sendall(line)
    return link.recv(100)


def was_cut(link: socket.socket) -> bool:
    try:
        return link.recv(100) == b""
    except ConnectionResetError:
        return True


def test_healthy_it_passes_everything(proxy: Proxy) -> None:
    with linked(proxy) as link:
        assert [answered(link) for _ in range(3)] == [SHOUTED] * 3
    assert proxy.counts == {"connections": 1}


def test_a_dropped_answer_was_carried_out(proxy: Proxy, shouter: Shouter) -> None:
    trap = proxy.trap(Catch.DROP_ANSWER, b"second")
    with linked(proxy) as link:
        assert answered(link) == SHOUTED, "another request passes"
        link.sendall(b"sec")
        link.sendall(b"ond\n")
        assert was_cut(link)
    assert trap.answered.is_set()
    assert shouter.heard == [b"hello\n", b"second\n"]
    with linked(proxy) as link:
        assert answered(link, b"second\n") == b"SECOND\n", "once"
    assert (trap.caught, proxy.counts[Catch.DROP_ANSWER]) == (1, 1)


def test_a_reset_request_never_arrives(proxy: Proxy, shouter: Shouter) -> None:
    proxy.trap(Catch.RESET, b"hello", times=2)
    for _ in range(2):
        with linked(proxy) as link:
            link.sendall(b"hello\n")
            assert was_cut(link)
    with linked(proxy) as link:
        assert answered(link) == SHOUTED
    assert shouter.heard == [b"hello\n"]


def test_markers_are_looked_for_in_order_on_one_connection(proxy: Proxy) -> None:
    trap = proxy.trap(Catch.RESET, b"one", b"two")
    with linked(proxy) as first, linked(proxy) as second:
        assert answered(first, b"two\n") == b"TWO\n"
        assert answered(first, b"one\n") == b"ONE\n"
        assert answered(second, b"two\n") == b"TWO\n", "another connection has not said the first one"
        first.sendall(b"two\n")
        assert was_cut(first)
    assert trap.sprung.is_set()


def test_half_an_answer_is_half_an_answer(proxy: Proxy) -> None:
    proxy.trap(Catch.TRUNCATE, b"hello", bytes=3)
    with linked(proxy) as link:
        assert answered(link) == b"HEL"
        assert was_cut(link)


@pytest.mark.parametrize("catch", [Catch.HOLD_REQUEST, Catch.HOLD_ANSWER])
def test_what_is_held_passes_when_it_is_released(proxy: Proxy, shouter: Shouter, catch: Catch) -> None:
    trap = proxy.trap(catch, b"hello")
    with linked(proxy) as link:
        link.sendall(b"hello\n")
        assert trap.sprung.wait(10)
        if catch is Catch.HOLD_ANSWER:
            assert trap.answered.wait(10)
        assert shouter.heard == ([] if catch is Catch.HOLD_REQUEST else [b"hello\n"])
        proxy.release(trap)
        assert link.recv(100) == SHOUTED
    assert shouter.heard == [b"hello\n"]


def test_in_the_dark_nothing_comes_out_and_what_was_swallowed_is_cut_when_it_heals(proxy: Proxy) -> None:
    with linked(proxy) as link:
        assert answered(link) == SHOUTED
        proxy.darken()
        link.sendall(b"lost\n")
        until(lambda: proxy.counts["swallowed"], 10, "a swallowed chunk")
        proxy.heal()
        assert was_cut(link)
    with linked(proxy) as link:
        assert answered(link) == SHOUTED


def test_deaf_it_lets_requests_through_and_no_answer_back(proxy: Proxy, shouter: Shouter) -> None:
    with linked(proxy) as link:
        proxy.deafen()
        for line in (b"one\n", b"two\n"):
            link.sendall(line)
            until(partial(operator.contains, shouter.heard, line), 10, "the request")
        until(lambda: proxy.counts["swallowed"] == 2, 10, "two answers swallowed")
        proxy.heal()
        assert was_cut(link)


def test_broken_it_cuts_what_is_open_and_what_comes(proxy: Proxy) -> None:
    with linked(proxy) as link:
        assert answered(link) == SHOUTED
        proxy.break_all()
        assert was_cut(link)
    with linked(proxy) as link:
        assert was_cut(link)
    proxy.slow(0.05)
    with linked(proxy) as link:
        assert answered(link) == SHOUTED
    assert proxy.counts["slowed"] == 2


def child(tmp_path: Path, code: str) -> Child:
    return Child("child", [sys.executable, "-c", code], dict(os.environ), tmp_path / "child.log")


def test_killed_it_is_gone_with_all_that_it_started(tmp_path: Path) -> None:
    one = child(
        tmp_path, "import subprocess, time; subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"
    )
    one.start()
    family = until(lambda: psutil.Process(one.pid).children(), 10, "its child")
    one.pause()
    until(lambda: psutil.Process(one.pid).status() == psutil.STATUS_STOPPED, 10, "its sleep")
    one.kill()
    assert (one.alive, one.exit_code, one.kills) == (False, -signal.SIGKILL, 1)
    assert not any(process.is_running() for process in family), "although it has a group of its own"


def test_a_child_that_dies_instead_of_serving_says_why(tmp_path: Path) -> None:
    one = child(tmp_path, "print('no such port'); raise SystemExit(3)")
    one.ready = lambda: False
    one.start()
    with pytest.raises(ChildDied, match=r"(?s)ended with 3.*no such port"):
        one.await_ready(10)


def test_what_does_not_come_true_says_what_it_was() -> None:
    sky: dict[str, str] = {}
    with pytest.raises(NotInTime, match=r"the moon did not come true within 0.01 s \(the last look failed: KeyError"):
        until(lambda: sky["moon"], 0.01, "the moon")


class Told(Evidence):
    """Evidence that a test makes up: `tables` by a word of the query."""

    def __init__(self, folder: Path, **tables: list[dict[str, Any]]) -> None:
        super().__init__("", folder / "journal", folder / "produced")
        self.tables = tables

    def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        named = query.partition("FROM ")[2].split()[0]
        return self.tables.get(named, [])


def written(path: Path, *entries: dict[str, Any], torn: str = "") -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + torn)


def booking(key: str, need: str = "P1:PLAIN:1", **more: Any) -> dict[str, Any]:
    order = {"key": key, "order_id": f"acme:{need}", "lines": [{"need_id": need, "units": 12}], **more}
    return {"kind": "order", "order": order, "supplier_number": f"SIM-{key}"}


def test_a_lost_event_is_found_and_one_that_nobody_has_is_none(tmp_path: Path) -> None:
    told = [
        {"id": name, "topic": "qm.stock", "sha256": name, "outcome": outcome}
        for name, outcome in [
            ("taken", "ok"),
            ("dead", "ok"),
            ("lost", "ok"),
            ("maybe", "unknown"),
            ("never", "failed"),
        ]
    ]
    taken = [{"event_id": "taken", "payload_sha256": "taken"}, {"event_id": "never", "payload_sha256": "never"}]
    evidence = Told(tmp_path, inbox=taken, dead_letter=[{"payload_sha256": "dead"}])
    written(evidence.produced, *told)
    assert list(no_lost_event(evidence)) == [
        "event lost on qm.stock was acknowledged and is nowhere",
        "event never was never sent and is in the inbox",
    ]


def test_two_bookings_under_a_key_and_a_need_ordered_twice_are_found(tmp_path: Path) -> None:
    evidence = Told(tmp_path)
    written(evidence.journal, booking("a"), booking("a"), torn='{"kind":"order","ord')
    assert [one.detail for one in check(evidence, "I3")] == [
        "the supplier booked 2 orders under the key a", "need P1:PLAIN:1 was ordered 2 times"
    ]  # fmt: skip
    written(evidence.journal, booking("a"), booking("b"))
    assert [one.detail for one in check(evidence, "I3")] == ["need P1:PLAIN:1 was ordered 2 times"]
    written(evidence.journal, booking("a"), booking("b", "P2:PLAIN:1"))
    assert check(evidence, "I3") == []


def test_of_drafts_only_the_confirmed_are_orders() -> None:
    drafts = [{"kind": "draft", "draft": f"D-{n}", "order": booking("a")["order"]} for n in (1, 2, 3)]
    ends = [
        {"kind": "draft-cancelled", "draft": "D-1"},
        {"kind": "draft-confirmed", "draft": "D-2", "supplier_number": "S"},
    ]
    assert [one["supplier_number"] for one in standing([*drafts, *ends, {"kind": "clock"}])] == ["S"]


def test_an_order_that_nobody_agreed_to_is_found(tmp_path: Path) -> None:
    policy = b'{"auto_value_limit":"100"}'
    proposal = {
        "decision_id": "P1:PLAIN:1", "tier": "review", "units": 12, "unit_cost": Decimal(5), "proposal_hash": "h",
        "document": policy, "item": "PLAIN", "category": "", "supplier": "acme", "location": "P1",
    }  # fmt: skip
    left = [{"stream": "order:acme:P1:PLAIN:1", "at": "2026-01-01T00:00:00.000000Z"}]
    evidence = Told(tmp_path, replenishment=[proposal], ledger_entry=left, approval=[], person=[{"name": "pat"}])
    written(evidence.journal, booking("a"))
    assert "0 of 1 approvals" in check(evidence, "I4")[0].detail
    approval = {
        "decision_id": "P1:PLAIN:1", "actor": "pat", "proposal_hash": "h", "units": None, "signatures_needed": None,
        "recorded_at": datetime(2025, 12, 31, tzinfo=UTC),
    }  # fmt: skip
    evidence.tables["approval"] = [approval]
    assert check(evidence, "I4") == []
    late = datetime(2026, 1, 2, tzinfo=UTC)
    for wrong in ({"actor": "clock"}, {"proposal_hash": "other"}, {"units": 13}, {"recorded_at": late}):
        evidence.tables["approval"] = [{**approval, **wrong}]
        assert "0 of 1 approvals" in check(evidence, "I4")[0].detail, wrong
    evidence.tables["replenishment"] = [{**proposal, "tier": "auto"}]
    assert check(evidence, "I4") == []
    evidence.tables["replenishment"] = [{**proposal, "tier": "auto", "unit_cost": Decimal(9)}]
    assert "the policy's limit is 100" in check(evidence, "I4")[0].detail
    evidence.tables["ledger_entry"] = []
    assert "no word that it left" in check(evidence, "I4")[0].detail


def test_a_changed_entry_breaks_its_chain(tmp_path: Path) -> None:
    entry = {
        "stream": "s", "seq": 1, "type": "t", "actor": "a", "occurred_at": "o", "recorded_at": "r", "body": b"{}",
        "body_sha256": hashlib.sha256(b"{}").hexdigest(), "prev_hash": "0" * 64,
    }  # fmt: skip
    entry["hash"] = chain_hash(entry)
    assert check(Told(tmp_path, ledger_entry=[entry]), "I5") == []
    changed = {**entry, "actor": "somebody else"}
    assert [one.detail for one in check(Told(tmp_path, ledger_entry=[changed]), "I5")] == [
        "s 1: the hash is not its own"
    ]
    gap = {**entry, "seq": 2}
    assert "the entry before is missing" in check(Told(tmp_path, ledger_entry=[gap]), "I5")[0].detail


def test_a_float_and_an_entry_that_the_notary_passed_by_are_found(tmp_path: Path) -> None:
    body = b'{"value":1.5}'
    entry = {
        "stream": "s", "seq": 1, "type": "t", "actor": "a", "occurred_at": "o", "recorded_at": "r", "body": body,
        "body_sha256": hashlib.sha256(body).hexdigest(), "prev_hash": "0" * 64, "written_by": 7,
    }  # fmt: skip
    entry["hash"] = chain_hash(entry)
    found = [one.detail for one in check(Told(tmp_path, ledger_entry=[entry]), "I5")]
    assert found == ["s 1: the body holds 1.5, and a float has no single spelling"]
    whole = {**entry, "body": b"{}", "body_sha256": hashlib.sha256(b"{}").hexdigest()}
    whole["hash"] = chain_hash(whole)
    behind = {"size": 0, "root": hashlib.sha256(b"").hexdigest(), "horizon": 8}
    found = [one.detail for one in check(Told(tmp_path, ledger_entry=[whole], ledger_checkpoint=[behind]), "I5")]
    assert found == ["s 1 has no leaf, and the notary says that all before transaction 8 have"]
    waits = {**behind, "horizon": 7}
    assert check(Told(tmp_path, ledger_entry=[whole], ledger_checkpoint=[waits]), "I5") == []
