"""The documents speak of what exists: every setting, every link, every decision."""

import re
from pathlib import Path

import pytest

from workers.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def test_the_settings_table_names_every_setting_and_no_other() -> None:
    section = (ROOT / "README.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(QM_[A-Z_]+)`", section))
    assert named == {PREFIX + field.upper() for field in Settings.model_fields}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    broken = [target for target in LINK.findall(path.read_text()) if not (path.parent / target).exists()]
    assert not broken


def test_every_decision_is_listed_and_says_what_was_rejected() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = (folder / "README.md").read_text()
    pages = sorted(folder.glob("0*.md"))
    assert pages
    for page in pages:
        assert f"({page.name})" in listed
        for part in ("## Context", "## Decision", "## Consequences", "## Rejected"):
            assert part in page.read_text(), f"{page.name} has no {part}"
