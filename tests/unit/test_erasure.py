"""What is sealed opens for its person, place and key alone; a bad key file is refused; an erasure says what it did."""

import threading
from pathlib import Path

import pytest

from connectors.sealing import KEY_BYTES, DataKey, MasterKey, Unreadable, make_key, read_key, words_mac
from tests.fakes.people import ADA, ADAM, MemoryPeople
from workflows.domain.approvals import Actor
from workflows.domain.erasure import LEGAL_BASIS, Erased, ErasureReason, Removed, may_erase
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.names import name_key
from workflows.domain.people import MayNot, Person, Role, newcomer

MASTER, OTHER = MasterKey(b"m" * KEY_BYTES), MasterKey(b"o" * KEY_BYTES)
BY_ADAM = Actor(name="Adam")


def test_what_is_sealed_opens_for_the_same_key_and_place_alone() -> None:
    wrapped = MASTER.new_wrapped("p-1")
    key = MASTER.unwrapped("p-1", wrapped)
    sealed = key.seal("words|1", "é 🚚".encode())
    assert key.open("words|1", sealed).decode() == "é 🚚"
    assert key.seal("words|1", b"x") != key.seal("words|1", b"x"), "equal words cannot be told to be equal"
    assert b"m" * KEY_BYTES not in wrapped
    for about, bytes_ in (("words|2", sealed), ("words|1", sealed[:-1]), ("words|1", b""),
                          ("words|1", bytes([sealed[0] ^ 1]) + sealed[1:])):  # fmt: skip
        with pytest.raises(Unreadable):
            key.open(about, bytes_)
    for master, person in ((OTHER, "p-1"), (MASTER, "p-2")):
        with pytest.raises(Unreadable):
            master.unwrapped(person, wrapped)
    with pytest.raises(Unreadable):
        DataKey(b"k" * KEY_BYTES).open("words|1", sealed)


def test_lookups_need_the_key_and_find_names_that_look_alike() -> None:
    assert MASTER.lookup("name", name_key("ADA  Lovelace")) == MASTER.lookup("name", name_key("Ada Lovelace"))
    assert len({one.lookup(kind, "ada") for one in (MASTER, OTHER) for kind in ("name", "subject")}) == 4
    assert MASTER.key_id != OTHER.key_id


def test_the_ledger_s_word_on_words_fits_any_once_its_salt_is_gone() -> None:
    assert words_mac(b"s", "late") == words_mac(b"s", "late")
    assert len({words_mac(b"s", "late"), words_mac(b"t", "late"), words_mac(b"s", "later")}) == 3


def test_a_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "personal.key"
    assert read_key(path) is None
    made: list[str] = []
    callers = [threading.Thread(target=lambda: made.append(make_key(path).key_id)) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(made) == 8
    assert len(set(made)) == 1, "whoever comes second takes the first one's"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["personal.key"]
    path.chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        read_key(path)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_file_that_holds_no_key_is_refused_and_left(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "personal.key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="no key of personal data"):
        make_key(path)
    assert path.read_bytes() == content
    with pytest.raises(InvalidInput, match="QM_PERSONAL_KEY_FILE"):
        make_key(path / "below")


def test_only_an_admin_erases_somebody_else() -> None:
    nora = newcomer("Nora")
    assert may_erase(nora, ADAM, BY_ADAM, "Nora") == nora
    for target, author, error in ((nora, None, MayNot), (nora, ADA, MayNot), (None, ADAM, NotFound),
                                  (ADAM, ADAM, MayNot)):  # fmt: skip
        with pytest.raises(error):
            may_erase(target, author, BY_ADAM, "Nora")
    gone = ADAM.model_copy(update={"roles": frozenset({Role.VIEWER})})
    with pytest.raises(MayNot, match="role admin"):
        may_erase(nora, gone, BY_ADAM, "Nora")
    assert set(LEGAL_BASIS) == set(ErasureReason)


def test_an_erasure_says_what_went_and_what_stays() -> None:
    counts = Removed(names=1, words=3)
    new = Erased(person="p-0123456789ab", reason=ErasureReason.REQUEST, removed=counts)
    assert "1 names, 3 words are gone" in new.words
    assert "Backups" in new.words
    assert not new.name_stays
    old = Erased(person="Ada", reason=ErasureReason.REQUEST, removed=counts)
    assert old.name_stays
    assert "entries and rows written so far keep that name" in old.words
    assert "nothing was left" in old.model_copy(update={"already": True}).words


async def test_the_fake_refuses_names_that_look_alike_as_the_store_does() -> None:
    people = MemoryPeople()
    nora = await people.save(newcomer("Nora Quist"), BY_ADAM)
    assert await people.named("nora  QUIST") == nora
    for other in (newcomer("NORA QUIST"), Person(name="nora quist")):
        with pytest.raises(InvalidInput, match="look the same"):
            await people.save(other, BY_ADAM)
