"""Every side effect has a failpoint with a name of its own, so that tests can break the engine at each of them."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.points import TRANSACTION, Module, Place, bare, failpoints_in_source, last_name, modules

NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
SENT = {
    "produce", "create_topics", "store_offsets",  # Kafka
    "start_workflow", "execute_workflow", "signal", "execute_update", "start_update", "create_schedule",  # Temporal
    "send_message",  # mail
}  # fmt: skip
"""Methods that change something elsewhere, whoever's they are."""
OF_HANDLES = {"cancel", "terminate", "update"}
OF_HTTP = {"post", "put", "patch", "delete", "request", "send", "stream", "ask"}
OF_OS = {"replace", "rename", "link", "fsync", "unlink", "remove"}
OF_PATHS = {"write_bytes", "write_text", "rename", "unlink"}
WRITES = re.compile(r"\b(INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|TRUNCATE|MERGE\s+INTO)\b")

FOR_A_PERSON = "a file for the person who asked for it: the next run makes it anew"
SUPPLIERS = "the simulated suppliers are somebody else's system; the harness breaks them from outside"
OWN_SERVERS = "notes of the embedded stack about its own servers, made anew at each start"
EXCEPTIONS = {
    "connectors/erp/http_address.py": "one request for whoever asks: what changes something is named where it is asked",
    "connectors/erp/journal.py": SUPPLIERS,
    "connectors/erp/supplier_control.py": SUPPLIERS,
    "connectors/folders.py": "what has no name yet does not count, and sync_folder only waits for what others wrote",
    "connectors/oidc.py": "what changes something at the provider is `sign_in.redeem`; the rest is asked by GET",
    "workers/commands": FOR_A_PERSON,
    "workers/copying.py": FOR_A_PERSON,
    "workers/demo.py": "the demo's own folder is made anew by each demo",
    "workers/drafts.py": FOR_A_PERSON,
    "workers/failing.py": "the failpoints themselves",
    "workers/servers": OWN_SERVERS,
    "workers/stack.py": OWN_SERVERS,
    "workers/telemetry_files.py": "traces may be lost, and nothing reads them back",
    "console/pages/audit_take.py": FOR_A_PERSON,
}
"""Files and folders whose side effects need no failpoint, and why."""


def effect_of(module: Module, call: ast.Call) -> str:
    """What this call changes outside the process and outside PostgreSQL; empty for nothing."""
    called, on = last_name(call.func), ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if not on:
        return called if called == "open" and _for_writing(call, 1) else ""
    on_http = "client" in on.lower() or on.endswith(("_http", "_address"))
    if called in SENT and on != "signal":
        return called
    if called in OF_HANDLES and "handle" in on:
        return f"{called} of a handle"
    if called in OF_HTTP and on_http and not _reads(call):
        return f"HTTP {called}"
    if on == "os" and (called in OF_OS or (called == "fdopen" and _for_writing(call, 1))):
        return f"os.{called}"
    if called in OF_PATHS or (called == "replace" and len(call.args) == 1 and not call.keywords):
        return called
    return called if called == "open" and _for_writing(call, 0) else ""


def _reads(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value in {"GET", "HEAD"}


def _for_writing(call: ast.Call, at: int) -> bool:
    given = [*call.args[at : at + 1], *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return any(re.fullmatch(r"[rwaxbt+]{1,3}", mode) and set(mode) & set("wax+") for mode in modes)


def excepted(place: Place) -> str:
    """The entry of EXCEPTIONS that this place is of."""
    return next((one for one in EXCEPTIONS if place.file == one or place.file.startswith(f"{one}/")), "")


@pytest.fixture(scope="module")
def source() -> list[Module]:
    return list(modules())


def unnamed(found: list[Module]) -> list[Place]:
    """Failpoints whose name is no literal of the right form."""
    named = [(module, call, *module.named(call)) for module in found for call in module.calls()]
    return [
        Place(module.file, call.lineno, module.function(call), f"{kind} without a literal `noun.verb`")
        for module, call, kind, name in named
        if kind and (name is None or NAME.fullmatch(name) is None)
    ]


def test_every_failpoint_has_a_literal_name(source: list[Module]) -> None:
    assert list(map(str, unnamed(source))) == []


def test_every_name_is_used_once() -> None:
    counted = Counter(point.point for point in failpoints_in_source())
    assert {point: n for point, n in counted.items() if n > 1} == {}
    assert set(counted.values()) == {1}


def test_every_side_effect_outside_the_database_has_a_failpoint(source: list[Module]) -> None:
    strays = [str(place) for place in bare(source, effect_of) if not excepted(place)]
    assert strays == [], "put it into `with Effect(...)`, or say in EXCEPTIONS why it needs no failpoint"


def test_every_exception_is_needed(source: list[Module]) -> None:
    assert {excepted(place) for place in bare(source, effect_of)} - {""} == set(EXCEPTIONS)


def test_nothing_is_written_past_a_transaction(source: list[Module]) -> None:
    """A connection's own `execute` commits at once, and no failpoint is told."""
    strays = [
        f"{module.file}:{call.lineno}"
        for module in source
        for call in module.calls()
        if last_name(call.func) in {"execute", "executemany"}
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value).endswith("connection")
        and any(WRITES.search(text) for text in _said(module, call))
    ]
    assert strays == []


def test_only_the_pool_opens_transactions_of_the_driver(source: list[Module]) -> None:
    strays = [
        f"{module.file}:{call.lineno}"
        for module in source
        for call in module.calls()
        if module.named(call)[0] == TRANSACTION
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value).endswith("connection")
    ]
    assert strays == [], "take `transaction` or `reading` of the pool"


def _said(module: Module, call: ast.Call) -> list[str]:
    """The texts that a call is given, itself or by the name of a constant of the module."""
    constants = {
        target.id: node.value
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    given = [constants.get(last_name(one), one) for one in call.args]
    return [
        node.value
        for one in given
        for node in ast.walk(one)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


@pytest.mark.parametrize(
    ("file", "was", "becomes", "what"),
    [
        ("connectors/notify.py", 'async with Effect("mail.send"):', "if True:", "send_message in _deliver"),
        ("connectors/kafka/producer.py", 'with Effect("dead_letters.publish"):', "if True:", "produce in _send"),
        ("connectors/model_store.py", 'with Effect("model.keep"):', "if True:", "os.replace in _write"),
        ("workers/temporal.py", 'async with Effect("verdict.tell"):', "if True:", "execute_update in tell"),
        ("connectors/erp/http_supplier.py", "await effect.__aenter__()", "pass", "HTTP ask in _change"),
    ],
)
def test_the_lint_sees_a_failpoint_that_is_taken_away(file: str, was: str, becomes: str, what: str) -> None:
    text = Path(__file__).parents[2].joinpath(file).read_text()
    assert text.count(was) == 1
    assert bare([Module(file, text)], effect_of) == []
    assert any(what in str(place) for place in bare([Module(file, text.replace(was, becomes))], effect_of))


def test_the_lint_sees_a_transaction_without_a_name() -> None:
    for text in (
        "transaction(connection)",
        "database.transaction()",
        "transaction(connection, name)",
        'Effect("send")',
    ):
        assert unnamed([Module("connectors/postgres/x.py", f"with {text}:\n    pass\n")]), text
    assert not unnamed([Module("connectors/postgres/x.py", 'with transaction(connection, "a.b"):\n    pass\n')])
    handing_on = "def run(at: str) -> None:\n    with transaction(connection, at):\n        pass\n"
    assert not unnamed([Module("connectors/postgres/x.py", f'{handing_on}run("a.b")\n')])
    assert unnamed([Module("connectors/postgres/x.py", f"{handing_on}run(name)\n")])
