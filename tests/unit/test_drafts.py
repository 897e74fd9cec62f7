"""What a command writes for somebody is theirs alone, whole or not there, and overwrites nothing through a link."""

import os
import stat
from pathlib import Path

import pytest

from workers.drafts import draft_of
from workflows.domain.errors import InvalidInput


def test_a_file_is_its_owner_s_alone_whatever_the_umask_and_whatever_was_there(tmp_path: Path) -> None:
    output = tmp_path / "pack.zip"
    output.write_bytes(b"old")
    output.chmod(0o666)
    umask = os.umask(0)
    try:
        with draft_of(output) as draft:
            draft.write_bytes(b"new")
            assert stat.S_IMODE(draft.stat().st_mode) == 0o600
            assert output.read_bytes() == b"old"
    finally:
        os.umask(umask)
    assert (output.read_bytes(), stat.S_IMODE(output.stat().st_mode)) == (b"new", 0o600)
    assert list(tmp_path.iterdir()) == [output]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    precious, output = tmp_path / "precious", tmp_path / "out.csv"
    precious.write_text("mine")
    output.symlink_to(precious)
    with draft_of(output) as draft:
        draft.write_text("rows")
    assert (precious.read_text(), output.read_text(), output.is_symlink()) == ("mine", "rows", False)


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(ValueError, match="in the middle"), draft_of(output) as draft:
        draft.write_text("half")
        raise ValueError("in the middle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["nowhere/out.csv", "."])
def test_where_nothing_can_be_written_is_said(tmp_path: Path, where: str) -> None:
    with pytest.raises(InvalidInput), draft_of(tmp_path / where):
        pass


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(InvalidInput, match="is no file"), draft_of(Path("/dev/null")):
        pass
    assert not Path("/dev/null").is_file()
