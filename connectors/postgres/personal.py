"""Keeps what is personal sealed: names and addresses of people, and the words that they write."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.sealing import SALT_BYTES, DataKey, MasterKey, make_key, read_key, words_mac
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import canonical

Cursor = psycopg.AsyncCursor[DictRow]

SEALED = "*"
"""What a column says in the place of words that are kept sealed."""
ERASED_WORDS = "(erased)"
NO_KEY_FILE = (
    "QM_PERSONAL_KEY_FILE is not set: names, e-mail addresses and comments are kept sealed with the key in that file"
)
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('personal key', 44))"


class PersonalKeyLost(InvalidInput):
    """The key file is not there, or is another one: what was sealed cannot be read."""


class Words(NamedTuple):
    """Words as they are kept."""

    text: str
    mac: str
    """What the ledger has of them."""


class Profile(NamedTuple):
    """What is personal of a person."""

    display: str = ""
    email: str = ""
    subject: str | None = None


class Vault:
    """The key of an installation's personal data, read when it is first needed and compared with the database."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._key: MasterKey | None = None

    async def key(self, cursor: Cursor) -> MasterKey:
        """The key; the first one is made, because nothing is sealed yet.

        Raises:
            PersonalKeyLost: something was sealed with a key that is not in the file.
            InvalidInput: no file is named, or it cannot be used.
        """
        found = await self.known(cursor)
        if found is not None:
            return found
        if self._path is None:
            raise InvalidInput(NO_KEY_FILE)
        await cursor.execute(_ONE_AT_A_TIME)
        found = await self.known(cursor)
        if found is None:
            # Not remembered yet: the transaction may still be undone.
            found = read_key(self._path) or make_key(self._path)
            await cursor.execute("INSERT INTO personal_key (key_id) VALUES (%s)", [found.key_id])
        return found

    async def known(self, cursor: Cursor) -> MasterKey | None:
        """The key, where something may be sealed; None: nothing is.

        Raises:
            PersonalKeyLost, InvalidInput: as `key`.
        """
        if self._key is not None:
            return self._key
        await cursor.execute("SELECT key_id FROM personal_key")
        row = await cursor.fetchone()
        if row is None:
            return None
        if self._path is None:
            raise InvalidInput(NO_KEY_FILE)
        key = read_key(self._path)
        if key is None or key.key_id != row["key_id"]:
            raise PersonalKeyLost(_lost(self._path, row["key_id"], key))
        self._key = key
        return key

    async def has(self, key_id: str) -> bool:
        """Whether the file holds this key."""
        key = read_key(self._path) if self._path is not None else None
        return key is not None and key.key_id == key_id

    async def words(self, cursor: Cursor, author: str, words_id: str, text: str) -> Words:
        """Keep words of this author's under an id, which has none yet."""
        salt = secrets.token_bytes(SALT_BYTES)
        sealed = (await self._data_key(cursor, author)).seal(f"words|{author}|{words_id}", text.encode())
        await cursor.execute(
            "INSERT INTO person_words (words_id, author, salt, sealed) VALUES (%s, %s, %s, %s)",
            [words_id, author, salt, sealed],
        )
        return Words(text, words_mac(salt, text))

    async def read(self, cursor: Cursor, words_ids: Sequence[str]) -> dict[str, Words]:
        """Words by their ids; those that were erased are missing."""
        if not words_ids:
            return {}
        await cursor.execute(
            """SELECT w.words_id, w.author, w.salt, w.sealed, s.wrapped_key
               FROM person_words w JOIN person_sealed s ON s.person = w.author WHERE w.words_id = ANY(%s)""",
            [list(words_ids)],
        )
        rows = await cursor.fetchall()
        if not rows:
            return {}
        key = await self.key(cursor)
        found = {}
        for row in rows:
            opened = key.unwrapped(row["author"], row["wrapped_key"])
            text = opened.open(f"words|{row['author']}|{row['words_id']}", row["sealed"]).decode()
            found[str(row["words_id"])] = Words(text, words_mac(row["salt"], text))
        return found

    async def keep(self, cursor: Cursor, person: str, profile: Profile, name_key: str | None) -> None:
        """Seal what is personal of somebody, in the place of what was known before.

        `name_key`: by what the name is found; None: the reference is the name, and is in clear anyway.
        """
        key = await self.key(cursor)
        data = await self._data_key(cursor, person)
        sealed = data.seal(f"profile|{person}", canonical(profile._asdict()))
        await cursor.execute(
            """UPDATE person_sealed SET sealed = %s, name_key = %s, subject_key = %s, changed_at = clock_timestamp()
               WHERE person = %s""",
            [
                sealed, key.lookup("name", name_key) if name_key is not None else None,
                key.lookup("subject", profile.subject) if profile.subject else None, person,
            ],
        )  # fmt: skip

    async def profile(self, cursor: Cursor, row: DictRow) -> Profile | None:
        """What is sealed in a row that has `name`, `wrapped_key` and `sealed`; None: nothing is."""
        if row["sealed"] is None:
            return None
        data = (await self.key(cursor)).unwrapped(row["name"], row["wrapped_key"])
        fields: dict[str, Any] = json.loads(data.open(f"profile|{row['name']}", row["sealed"]))
        return Profile(**fields)

    async def person_by(self, cursor: Cursor, kind: str, text: str) -> str | None:
        """The reference of whoever has this `name` key or `subject`; None: nobody whose data are sealed."""
        key = await self.known(cursor)
        if key is None:
            return None
        column = {"name": "name_key", "subject": "subject_key"}[kind]
        await cursor.execute(
            f"SELECT person FROM person_sealed WHERE {column} = %s",  # noqa: S608 - our own names
            [key.lookup(kind, text)],
        )
        row = await cursor.fetchone()
        return str(row["person"]) if row else None

    async def _data_key(self, cursor: Cursor, person: str) -> DataKey:
        """The person's key, held until the transaction ends: whoever erases waits, or was there before."""
        key = await self.key(cursor)
        await cursor.execute("SELECT erased_at FROM person WHERE name = %s FOR KEY SHARE", [person])
        known = await cursor.fetchone()
        if known is not None and known["erased_at"] is not None:
            raise InvalidInput(f"{person} was erased: nothing personal is kept of them any more")
        await cursor.execute(
            "INSERT INTO person_sealed (person, wrapped_key) VALUES (%s, %s) ON CONFLICT (person) DO NOTHING",
            [person, key.new_wrapped(person)],
        )
        await cursor.execute("SELECT wrapped_key FROM person_sealed WHERE person = %s FOR KEY SHARE", [person])
        row = await cursor.fetchone()
        if row is None:
            raise InvalidInput(f"{person} was erased in this moment")
        return key.unwrapped(person, row["wrapped_key"])


def _lost(path: Path, key_id: str, other: MasterKey | None) -> str:
    what = f"{path} is not there" if other is None else f"{path} is another key ({other.key_id[:8]})"
    return (
        f"Personal data are sealed with the key {key_id[:8]}, and {what}. Put the file back from the backup of your "
        "keys, or name it in QM_PERSONAL_KEY_FILE. Without it names, e-mail addresses, identities at the provider and "
        "comments cannot be read; decisions, approvals and the ledger are whole and still verify. Where it is lost "
        "for good, `quartermaster people give-up-key` throws away what nobody can read, and people are named anew."
    )
