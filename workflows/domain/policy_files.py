"""The policy as rows: one limit a row, for the company or for a scope; the rows together are the whole document."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from workflows.domain.files import SCOPE, cell
from workflows.domain.policies import Policy
from workflows.domain.tables import WHOLE_FILE, Cells, Problem, Unusable

_ASIDE = frozenset({*SCOPE, "overrides", "version"})


def policy_rows(policy: Policy) -> list[dict[str, str]]:
    """Every limit that the policy sets: the company's first, then those of each scope."""
    rows = [{"limit": name, "value": text} for name, text in _flat(policy.model_dump())]
    for override in policy.overrides:
        scope = {name: getattr(override, name) or "" for name in SCOPE}
        rows += [{**scope, "limit": name, "value": text} for name, text in _flat(override.model_dump())]
    return rows


def policy_document(rows: Sequence[Cells]) -> dict[str, Any]:
    """The policy document that these rows are; a limit without a row is at its default, or not set.

    Raises:
        Unusable: every row that is no limit, cannot be read, or is there twice.
    """
    problems: list[Problem] = []
    scopes: dict[tuple[str, ...], dict[str, Any]] = {}
    lines: dict[tuple[tuple[str, ...], str], int] = {}
    for row in rows:
        scope = tuple(row.cells[name] if name == "category" else row.cells[name].strip() for name in SCOPE)
        limit, value = row.cells["limit"].strip(), row.cells["value"].strip()
        if value == "":
            continue
        if limit.partition(".")[0] in _ASIDE:
            problems.append(Problem(line=row.line, column="limit", reason=f"{limit[:60]!r} is no limit; leave it out"))
            continue
        first = lines.setdefault((scope, limit), row.line)
        if first != row.line:
            problems.append(Problem(line=row.line, column="limit", reason=f"{limit} is on line {first} already"))
            continue
        _set(scopes.setdefault(scope, {}), limit, value)
    company = scopes.pop(("",) * len(SCOPE), {})
    overrides = [
        {**{name: text for name, text in zip(SCOPE, scope, strict=True) if text}, **limits}
        for scope, limits in scopes.items()
    ]
    document = {**company, "overrides": overrides}
    problems += _problems(document, list(scopes), lines)
    if problems:
        raise Unusable(sorted(problems, key=lambda one: one.line))
    return document


def _problems(
    document: dict[str, Any], scopes: Sequence[tuple[str, ...]], lines: dict[tuple[tuple[str, ...], str], int]
) -> list[Problem]:
    try:
        Policy.model_validate(document)
    except ValidationError as error:
        found = []
        for one in error.errors():
            path = [str(part) for part in one["loc"]]
            scope: tuple[str, ...] = ("",) * len(SCOPE)
            if path[:1] == ["overrides"] and len(path) > 1:
                scope, path = scopes[int(path[1])], path[2:]
            named = [line for (at, limit), line in lines.items() if at == scope and limit == ".".join(path)]
            near = [
                line for (at, limit), line in lines.items() if at == scope and (not path or limit.startswith(path[0]))
            ]
            reason = str(one["msg"]).removeprefix("Value error, ")
            if isinstance(one["input"], str):
                reason = f"{one['input'][:60]!r} cannot be used: {reason}"
            if one["type"] == "extra_forbidden":
                reason = f"{'.'.join(path)[:60]!r} is no limit"
            line = min(named or near, default=WHOLE_FILE)
            found.append(Problem(line=line, column=path[-1] if path and path[-1] in SCOPE else "value", reason=reason))
        return found
    return []


def _flat(values: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for name, value in values.items():
        if name in _ASIDE or value is None:
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{part}", cell(inner)) for part, inner in value.items()]
        else:
            found.append((name, cell(value)))
    return found


def _set(limits: dict[str, Any], limit: str, value: str) -> None:
    name, _, part = limit.partition(".")
    known = limits.get(name)
    if part and (known is None or isinstance(known, dict)):
        limits.setdefault(name, {})[part] = value
    else:
        limits[limit] = value
