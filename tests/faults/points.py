"""Every failpoint that the source names, and every side effect in it that no failpoint goes with; read, never run."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("connectors", "activities", "workers", "console")
MOMENTS = ("before", "after")
TRANSACTION, EFFECT, REACHES = "transaction", "Effect", ("reach", "reached")
POOL = "connectors/postgres/pool.py"
"""Opens the transactions that others name."""


@dataclass(frozen=True)
class Point:
    """One moment of one failpoint, and where it is."""

    name: str
    moment: str
    kind: str
    """`transaction`, `Effect` or `reach`."""
    file: str
    line: int

    @property
    def point(self) -> str:
        """As it is armed."""
        return f"{self.name}:{self.moment}"


@dataclass(frozen=True)
class Place:
    """A line of the source, and what is wrong with it."""

    file: str
    line: int
    function: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what} in {self.function or 'the module'}"


def failpoints_in_source(root: Path = ROOT) -> list[Point]:
    """Every name x moment, in the order of files and lines. A name that is no literal is not among them: see `lint`."""
    return [point for module in modules(root) for point in module.points()]


class Module:
    """One file's tree, with who is inside whom."""

    def __init__(self, file: str, source: str) -> None:
        self.file, self.tree = file, ast.parse(source)
        imports = [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]
        self._failpoints = {
            name.name for node in imports if node.module == "workflows.domain.failpoints" for name in node.names
        }
        self._above: dict[ast.AST, ast.AST] = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

        self._handing_on = {
            one.name: arguments.index("at")
            for one in ast.walk(self.tree)
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            and "at" in (arguments := [each.arg for each in one.args.args if each.arg not in {"self", "cls"}])
            and any(isinstance(call, ast.Call) and self._hands_on(call) for call in ast.walk(one))
        }
        """Functions of this file that give their argument `at` to `transaction`, and which argument it is."""

    def calls(self) -> Iterator[ast.Call]:
        """Every call."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """What the node is inside of, from near to far."""
        while (found := self._above.get(node)) is not None:
            yield found
            node = found

    def function(self, node: ast.AST) -> str:
        """The name of the innermost function around it; empty for none."""
        around = (one.name for one in self.above(node) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
        return next(around, "")

    def points(self) -> Iterator[Point]:
        """The failpoints that are named by literals."""
        for call in self.calls():
            kind, name = self.named(call)
            if kind in {TRANSACTION, EFFECT} and name is not None:
                for moment in MOMENTS:
                    yield Point(name, moment, kind, self.file, call.lineno)
            elif kind == "reach" and name is not None and len(call.args) > 1:
                yield Point(name, ast.unparse(call.args[1]).lower(), kind, self.file, call.lineno)

    def named(self, call: ast.Call) -> tuple[str, str | None]:
        """(kind, name) of a call that is a failpoint; kind is empty for another, name is None if it is no literal."""
        called, at = last_name(call.func), call.args[0] if call.args else None
        if called in self._handing_on:
            kind, place = TRANSACTION, self._handing_on[called]
            at = call.args[place] if len(call.args) > place else None
        elif called == TRANSACTION and self._hands_on(call):
            return "", None
        elif called == TRANSACTION and self.file != POOL:
            kind = TRANSACTION
            if isinstance(call.func, ast.Name):  # transaction(connection, "noun.verb")
                at = call.args[1] if len(call.args) > 1 else None
        elif called == EFFECT:
            kind = EFFECT
        elif called in REACHES and called in self._failpoints and self.file != POOL:
            kind = "reach"
        else:
            return "", None
        literal = at.value if isinstance(at, ast.Constant) and isinstance(at.value, str) else None
        return kind, literal

    def _hands_on(self, call: ast.Call) -> bool:
        """Whether it is `transaction(..., at)` with the `at` that the function around it was given."""
        return last_name(call.func) == TRANSACTION and any(
            isinstance(one, ast.Name) and one.id == "at" for one in call.args
        )

    def _enters(self, call: ast.Call) -> bool:
        """Whether it is `effect.__aenter__()`, for an end that is not always the block's."""
        func = call.func
        return isinstance(func, ast.Attribute) and func.attr == "__aenter__" and self._is_effect(func.value, call)

    def _is_effect(self, given: ast.expr, at: ast.AST) -> bool:
        """Whether this is an `Effect(...)`, or a name that a function around it is given one by."""
        if isinstance(given, ast.Call):
            return self.named(given)[0] == EFFECT
        around = (one for one in self.above(at) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
        arguments = [argument for one in around for argument in one.args.args]
        return isinstance(given, ast.Name) and any(
            argument.arg == given.id and last_name(argument.annotation or given) == EFFECT for argument in arguments
        )

    def covered(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> bool:
        """Whether a failpoint goes with this: in its `with Effect`, in a function that calls `reach`, or, if it is in a
        private function, wherever that is named in this file."""
        for one in self.above(node):
            entered = [item.context_expr for item in one.items] if isinstance(one, ast.With | ast.AsyncWith) else []
            if any(self._is_effect(given, one) for given in entered):
                return True
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                within = (call for call in ast.walk(one) if isinstance(call, ast.Call))
                if any(self.named(call)[0] == "reach" or self._enters(call) for call in within):
                    return True
                if one.name in seen or not one.name.startswith("_"):
                    return False
                uses = [use for use in ast.walk(self.tree) if _names(use, one.name)]
                return bool(uses) and all(self.covered(use, seen | {one.name}) for use in uses)
        return False


def modules(root: Path = ROOT) -> Iterator[Module]:
    """Every module of the product."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            yield Module(path.relative_to(root).as_posix(), path.read_text())


def last_name(node: ast.AST) -> str:
    """`c` of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def bare(found: list[Module], effect: Callable[[Module, ast.Call], str]) -> list[Place]:
    """Calls that `effect` has a word for and that no failpoint goes with."""
    return [
        Place(module.file, call.lineno, module.function(call), what)
        for module in found
        for call in module.calls()
        if (what := effect(module, call)) and not module.covered(call)
    ]


def _names(node: ast.AST, name: str) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == name) or (isinstance(node, ast.Name) and node.id == name)
