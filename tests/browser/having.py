"""Without a Chromium the browser tests skip with the reason, or fail where they must run: they never pass unseen."""

import os
import shutil
from collections.abc import Mapping
from typing import NoReturn

import pytest

MISSING = "no Chromium on this machine: `make browser` installs one"


def chromium_or_skip(environ: Mapping[str, str] = os.environ) -> str:
    """The browser to drive: what `CHROMIUM` names, or what lies on the path. Without one, the test ends here."""
    named = environ.get("CHROMIUM")
    found = named or shutil.which("chromium", path=environ.get("PATH")) or _chrome(environ)
    return found or _without(environ)


def _chrome(environ: Mapping[str, str]) -> str | None:
    return shutil.which("google-chrome", path=environ.get("PATH"))


def _without(environ: Mapping[str, str]) -> NoReturn:
    if environ.get("BROWSER_TESTS") == "required":
        pytest.fail(f"{MISSING}, and BROWSER_TESTS=required says that these tests must run")
    pytest.skip(MISSING)
