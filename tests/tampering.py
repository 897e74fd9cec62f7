"""Somebody who is the database's superuser rewrites the record, and recomputes every hash that needs no secret key."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.postgres.pool import Connection, connect
from connectors.signing import NoteSigner
from workflows.domain.ledger import GENESIS, Entry, chain_hash
from workflows.domain.notary import read_note
from workflows.domain.tree import Frontier, entry_leaf

Row = dict[str, Any]
_FIELDS = ("stream", "seq", "type", "actor", "occurred_at", "recorded_at", "body", "body_sha256", "prev_hash", "hash")


class Tamperer:
    """One copy of a database in the wrong hands."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.run("SET session_replication_role = replica")

    def run(self, statement: str, *arguments: Any) -> list[Row]:
        """Any statement; no trigger fires."""
        cursor = self._connection.execute(statement.encode(), arguments)
        return cursor.fetchall() if cursor.description else []

    def chain(self, stream: str) -> list[Row]:
        """The entries of a chain."""
        return self.run("SELECT * FROM ledger_entry WHERE stream = %s ORDER BY seq", stream)

    def rewrite(self, stream: str, entries: Sequence[Row]) -> None:
        """Put these in place of the chain: renumbered, every hash made anew, and the tree over them too."""
        before = self.run("SELECT tree_index, seq FROM ledger_leaf WHERE stream = %s ORDER BY seq", stream)
        self.run("DELETE FROM ledger_entry WHERE stream = %s", stream)
        hashes, previous = [], GENESIS
        for seq, row in enumerate(entries, start=1):
            body = bytes(row["body"])
            fresh = {**row, "stream": stream, "seq": seq, "body": body, "prev_hash": previous}
            fresh["body_sha256"] = hashlib.sha256(body).hexdigest()
            previous = chain_hash(Entry.model_construct(**{**fresh, "hash": ""}))
            hashes.append(previous)
            self.run(
                f"INSERT INTO ledger_entry ({', '.join(_FIELDS)}, written_by) VALUES "  # noqa: S608
                "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                *[{**fresh, "hash": previous}[name] for name in _FIELDS], row["written_by"],
            )  # fmt: skip
        self._plant(stream, [row["tree_index"] for row in before], hashes)

    def _plant(self, stream: str, places: Sequence[int], hashes: Sequence[str]) -> None:
        """The tree as if the chain had always been so: what is new stands where the chain ended."""
        leaves = self.run("SELECT tree_index, stream, seq, hash FROM ledger_leaf ORDER BY tree_index")
        own = iter(enumerate(hashes, start=1))
        fresh: list[tuple[str, int, str]] = []
        for leaf in leaves:
            if leaf["stream"] != stream:
                fresh.append((leaf["stream"], leaf["seq"], leaf["hash"]))
                continue
            mine = [next(own, None)]
            if places and leaf["tree_index"] == places[-1]:
                mine += list(own)
            fresh += [(stream, one[0], one[1]) for one in mine if one is not None]
        self.run("DELETE FROM ledger_leaf")
        self.run(
            """INSERT INTO ledger_leaf SELECT n - 1, s, q, h FROM unnest(%s::text[], %s::integer[], %s::text[])
               WITH ORDINALITY AS u (s, q, h, n)""",
            [one[0] for one in fresh], [one[1] for one in fresh], [one[2] for one in fresh],
        )  # fmt: skip

    def roots(self) -> dict[int, str]:
        """The root at each size of the tree as it is now."""
        frontier, found = Frontier(), {0: Frontier().root().hex()}
        for row in self.run("SELECT hash FROM ledger_leaf ORDER BY tree_index"):
            frontier.append(entry_leaf(row["hash"]))
            found[frontier.size] = frontier.root().hex()
        return found

    def edit_notes(self) -> None:
        """Make checkpoints say the root that the leaves lead to now; the signatures stay, which is all he can do."""
        roots = self.roots()
        for row in self.run("SELECT number, size, root, note FROM ledger_checkpoint"):
            size = min(row["size"], max(roots))
            old, new = (base64.b64encode(bytes.fromhex(one)).decode() for one in (row["root"], roots[size]))
            note = row["note"].replace(old, new).replace(f"\n{row['size']}\n", f"\n{size}\n", 1)
            self.run(
                "UPDATE ledger_checkpoint SET size = %s, root = %s, note = %s WHERE number = %s",
                size, roots[size], note, row["number"],
            )  # fmt: skip

    def resign(self, signer: NoteSigner) -> None:
        """Sign every checkpoint anew with a key of his own, and list that key as the notary's."""
        self.edit_notes()
        for row in self.run("SELECT number, note FROM ledger_checkpoint"):
            note = signer.note(read_note(row["note"]).checkpoint)
            self.run(
                "UPDATE ledger_checkpoint SET note = %s, key_id = %s WHERE number = %s",
                note, signer.key.key_id, row["number"],
            )  # fmt: skip
        self.run("UPDATE notary_key SET key_id = %s, verifier_key = %s", signer.key.key_id, signer.key.text)

    def replace(self, stream: str, seq: int, **fields: Any) -> None:
        """Change fields of one entry, and all that follows from it."""
        entries = self.chain(stream)
        self.rewrite(stream, [{**row, **fields} if row["seq"] == seq else row for row in entries])

    def find(self, kind: str, stream: str | None = None) -> Row:
        """The first entry of a type."""
        found = self.run(
            "SELECT * FROM ledger_entry WHERE type = %s AND (%s::text IS NULL OR stream = %s) ORDER BY stream, seq",
            kind, stream, stream,
        )  # fmt: skip
        return found[0]


@contextmanager
def tampering(dsn: str) -> Iterator[Tamperer]:
    """The database in his hands."""
    with connect(dsn, name="tamperer") as connection:
        yield Tamperer(connection)


def one_digit_changed(body: bytes) -> bytes:
    """One byte is another, and the body is still canonical JSON: the first digit within a number, or a letter."""
    found = re.search(rb'(?<=":)[1-8]|(?<=":")[a-y]', body)
    assert found is not None, body
    at = found.start()
    return body[:at] + bytes([body[at] + 1]) + body[at + 1 :]


def edited(path: Path, change: Callable[[list[Row]], None]) -> Path:
    """The same JSON lines with something changed, beside them."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    copy = path.with_name(f"edited-{path.name}")
    copy.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy
