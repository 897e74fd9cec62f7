"""What the workflow sandbox loads anew is as intended, and what names and times things has one home."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.servers.temporal import SEARCH_ATTRIBUTES
from workflows import naming

ROOT = Path(__file__).parents[2]
WORKFLOWS = (
    "assessment", "exporting", "monitoring", "outcomes", "purchasing", "reconciliation", "replaying", "replenishment",
    "retraining",
)  # fmt: skip
CODE_FOLDERS = ("workflows", "activities", "connectors", "workers", "console")
EMBEDDED = "workers/servers/temporal.py"
"""Repeats the search attributes, because it starts a server without loading the SDK; held equal below."""
TIMES = {
    "start_to_close_timeout", "schedule_to_close_timeout", "schedule_to_start_timeout", "heartbeat_timeout",
    "retry_policy", "execution_timeout", "run_timeout", "task_timeout",
}  # fmt: skip

# In a process of its own, because an audit hook stays for good: it sees each module body that is executed.
WATCH = """
import asyncio, importlib, json, sys
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from workers.plugin import with_engine_passthrough

module = importlib.import_module("workflows." + sys.argv[1])
marked = [getattr(value, "__temporal_workflow_definition", None) for value in vars(module).values()]
definitions = [definition for definition in marked if definition]
runner = with_engine_passthrough(SandboxedWorkflowRunner())
before, executed, watching = set(sys.modules), [], True

def note(event, arguments):
    if watching and event == "exec" and arguments[0].co_name == "<module>":
        executed.append(arguments[0].co_filename)

sys.addaudithook(note)
async def main():
    for definition in definitions:
        runner.prepare_workflow(definition)
asyncio.run(main())
watching = False
print(json.dumps({"workflows": len(definitions), "executed": executed, "new": sorted(set(sys.modules) - before)}))
"""


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_sandbox_loads_a_workflows_own_module_anew_and_no_other(name: str) -> None:
    watched = subprocess.run([sys.executable, "-c", WATCH, name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert watched.returncode == 0, watched.stderr
    seen = json.loads(watched.stdout)

    loaded = [Path(file) for file in seen["executed"] if not file.startswith("<") and "workflow_sandbox" not in file]
    ours = {path for path in loaded if any(path.is_relative_to(ROOT / folder) for folder in CODE_FOLDERS)}
    others = [path for path in loaded if path not in ours]

    assert seen["workflows"] == 1
    expected = {f"workflows/{name}.py", "workflows/__init__.py"}
    assert {path.relative_to(ROOT).as_posix() for path in ours} == expected, (
        "a module of `activities` or of the domain here means that the plugin's list has a gap"
    )
    assert others == [], "somebody else's code is loaded anew for every run: pass it through"


def test_every_workflow_module_is_watched() -> None:
    defined = {
        Path(name).stem
        for name, tree in trees("workflows")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("defn" in ast.dump(decorator) for decorator in node.decorator_list)
    }

    assert defined == set(WORKFLOWS)


def test_queues_and_search_attributes_are_named_in_naming_only() -> None:
    queues = {naming.ENGINE_QUEUE, naming.LEARNING_QUEUE, naming.SUPPLIER_QUEUE} - {"quartermaster"}
    owned = queues | {key.name for key in naming.SEARCH_ATTRIBUTES}
    strays = [
        f"{name}:{node.lineno}: {node.value!r}"
        for name, tree in trees(*CODE_FOLDERS)
        for node in ast.walk(tree)
        if name not in {"workflows/naming.py", EMBEDDED} and isinstance(node, ast.Constant) and node.value in owned
    ]

    assert strays == [], "import it from workflows.naming"
    assert {key.name for key in naming.SEARCH_ATTRIBUTES} == set(SEARCH_ATTRIBUTES), f"{EMBEDDED} has fallen behind"


def test_search_attribute_keys_are_made_in_naming_only() -> None:
    makers = [
        name
        for name, tree in trees(*CODE_FOLDERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "SearchAttributeKey"
    ]

    assert set(makers) == {"workflows/naming.py"}


def test_workflow_ids_are_made_in_naming_only() -> None:
    prefixes = ("assessment/", "replenishment/", "purchasing/", "retraining/", "replaying/")
    strays = [
        f"{name}:{node.lineno}: {node.value!r}"
        for name, tree in trees(*CODE_FOLDERS)
        for node in ast.walk(tree)
        if name != "workflows/naming.py"
        and isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(prefixes)
    ]

    assert strays == [], "make workflow ids with the functions of workflows.naming"


def test_patience_is_kept_in_options_only() -> None:
    strays = [
        f"{name}:{node.value.lineno}: {node.arg}"
        for name, tree in trees(*CODE_FOLDERS)
        for node in ast.walk(tree)
        if name != "workflows/options.py" and isinstance(node, ast.keyword) and node.arg in TIMES
    ]

    assert strays == [], "name the kind of work in workflows.options and use that"


def test_deciding_code_reads_no_clock_and_rolls_no_die() -> None:
    forbidden = {"time", "random", "secrets", "uuid", "os", "socket", "subprocess", "threading"}
    strays = [
        f"{name}: {module}"
        for name, tree in trees("workflows")
        for node in ast.walk(tree)
        for module in imported(node)
        if module.split(".")[0] in forbidden
    ]

    assert strays == []


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
