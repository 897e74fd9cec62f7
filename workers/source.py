"""Says which code runs, so that a decision can name the code that made it: computed once per process."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import activities
import connectors
import workflows
from workflows.domain.evidence import Source

PACKAGES = ("holidays", "numpy", "pandas", "prophet", "pydantic", "rfc8785", "scipy", "xgboost")
"""What numbers depend on. On some platforms XGBoost is installed under another name."""
_ALSO = {"xgboost": ("xgboost-cpu",)}
NOT_INSTALLED = "not installed"


@cache
def running_source() -> Source:
    """The engine's release, its own source files and the libraries that its numbers come from."""
    return Source(
        release=_version("quartermaster"),
        code_sha256=code_digest(
            [Path(package.__file__ or "").parent for package in (activities, connectors, workflows)]
        ),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
    )


def running_version() -> str:
    """Release and source in one word, for places with room for no more: `RELEASE+` and 12 digits of the source."""
    source = running_source()
    return f"{source.release}+{source.code_sha256[:12]}"


def code_digest(folders: list[Path]) -> str:
    """SHA-256 over the lines `SHA256 PATH` of every source file in these packages, in the order of their paths."""
    listed = sorted(
        (path.relative_to(folder.parent).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for folder in folders
        for path in folder.rglob("*.py")
    )
    return hashlib.sha256("".join(f"{sha256} {path}\n" for path, sha256 in listed).encode()).hexdigest()


def _version(name: str) -> str:
    for one in (name, *_ALSO.get(name, ())):
        try:
            return version(one)
        except PackageNotFoundError:
            continue
    return NOT_INSTALLED
