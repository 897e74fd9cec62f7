"""Checks an evidence pack without trusting whoever made it: no code, database or network of the operator's is used.

    python verify.py PACK [--anchor FILE_OR_FOLDER ...] [--key VERIFIER_KEY ...] [--erp FILE] [--acknowledged FILE]
                     [--json FILE]

PACK is the zip that `quartermaster audit pack` writes. What makes the check strong comes from elsewhere: the anchors
(what the notary left on another disk or host), the notary's key as somebody wrote it down, the supplier's own list of
orders. One file, Python 3.11 or newer, and the package `cryptography`; an auditor can read all of it.

Exit code 0: all that was checked is as it was written. 1: there are findings. 2: the pack, or another input, cannot be
used, and nothing was found out. What each finding means is in docs/audit.md.

Sections: 1 findings, 2 reading what nobody vouches for, 3 hashing, 4 keys and signed notes, 5 anchors, 6 the tree,
7 chains, 8 what happened to a chain, 9 facts of decisions and orders, 10 evidence, 11 approvals and orders,
12 what the supplier and the writers say, 13 the whole check, 14 the report.
"""

import argparse
import base64
import bisect
import hashlib
import io
import itertools
import json
import re
import struct
import sys
import time
import unicodedata
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "quartermaster-evidence-pack-1"
MIB = 1 << 20
LONGEST_LINE = 16 * MIB
LARGEST_OBJECT = 2048 * MIB
"""Of one object of evidence, uncompressed."""
LARGEST_RATIO = 300
"""Of uncompressed to compressed bytes, in files above 64 MiB: more is a bomb, not a ledger."""
MOST_FILES = 5_000_000
MOST_PER_CODE = 200
"""Findings of one code that are told one by one; the rest are counted."""
CLOCK_SLACK_SECONDS = 5.0
"""How far a clock may step back (it is set by NTP) before it is a finding."""
SKEW_SECONDS = 300.0
ANCHOR_BEHIND_SECONDS = 900.0
"""How much older than the pack an anchor may end without a word about it."""
SILENCE_SECONDS = 900.0
"""A notary signs every minute; so long a silence is said."""


# 1. Findings ---------------------------------------------------------------------------------------------------------

TAMPERING = {
    "flipped_byte": "what an entry says was changed after it was written",
    "dropped_middle": "entries were taken out of the middle of a chain",
    "dropped_tail": "the last entries of a chain were taken away",
    "dropped_stream": "a whole chain was taken away",
    "reordered": "entries of a chain stand in another order than they were written in",
    "duplicate_seq": "an entry is there twice",
    "swapped_bodies": "what two entries say was exchanged",
    "resigned_with_other_key": "checkpoints are signed by a key that no trusted key vouches for",
    "back_dated": "the time of an entry was changed",
    "rolled_back": "the ledger is an earlier one: all that was written after it is gone",
    "forked": "the notary's key signed two histories that contradict each other",
    "late_insert": "an entry was put in later than it says",
    "approval_actor_edited": "an answer was put into somebody else's mouth",
    "erp_quantity_changed": "the supplier's system has other units than were ordered",
}
"""Named kinds of tampering: what was done. Every other code says what does not add up."""


class Unusable(Exception):
    """The input cannot be read, so nothing can be said about it."""


@dataclass
class Finding:
    """One thing that is not as it was written, and where."""

    code: str
    meaning: str
    stream: str | None = None
    seq: int | None = None
    decision: str | None = None
    object: str | None = None

    @property
    def tampering(self) -> bool:
        """Whether the code says what was done."""
        return self.code in TAMPERING


@dataclass
class Findings:
    """All of them, each code bounded, and notes: what an auditor should know but is nobody's fault."""

    found: list[Finding] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, code: str, meaning: str, **where: Any) -> None:
        """Remember it once, whichever check came across it."""
        self.counted[code] += 1
        if self.counted[code] <= MOST_PER_CODE:
            self.found.append(Finding(code, meaning, **where))

    def note(self, words: str) -> None:
        """Once."""
        if words not in self.notes:
            self.notes.append(words)


# 2. Reading what nobody vouches for ----------------------------------------------------------------------------------

_NAMES = re.compile(
    r"README\.txt|manifest\.json|ledger/(entries|leaves|checkpoints|keys|proofs)\.jsonl|evidence/index\.jsonl"
    r"|evidence/[0-9a-f]{64}|anchors/[A-Za-z0-9._-]{1,100}"
)
_HEX = re.compile(r"[0-9a-f]{64}")


class Pack:
    """The zip, opened with suspicion: only known names, no name twice, nothing that unpacks beyond reason."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise Unusable(f"there is no file {path}") from None
        members = self._zip.infolist()
        if self._zip.comment or (members and min(member.header_offset for member in members)):
            raise Unusable("the pack has bytes that belong to none of its files: other programs may see another pack")
        if len(members) > MOST_FILES:
            raise Unusable(f"the pack has {len(members):,} files; {MOST_FILES:,} is the most")
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            self._admit(member)
        self.evidence = {name[9:] for name in self._members if name.startswith("evidence/") and len(name) == 73}

    def _admit(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if not _NAMES.fullmatch(name):
            raise Unusable(f"the pack has a file that no pack has: {name[:100]!r}")
        if name in self._members or name != member.orig_filename:
            raise Unusable(f"the pack has {name} twice, or under two names")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unusable(f"{name} is encrypted or compressed in an unknown way")
        if member.file_size > 64 * MIB and member.file_size > LARGEST_RATIO * max(member.compress_size, 1):
            raise Unusable(f"{name} would unpack to {member.file_size:,} bytes from {member.compress_size:,}")
        self._members[name] = member

    def open(self, name: str) -> BinaryIO:
        """Raises: Unusable, when it is not there."""
        if name not in self._members:
            raise Unusable(f"the pack has no {name}")
        return self._zip.open(self._members[name])  # type: ignore[return-value]

    def document(self, name: str) -> dict[str, Any]:
        """A JSON object."""
        with self.open(name) as file:
            found = _lenient(file.read(LONGEST_LINE).decode())
        if not isinstance(found, dict):
            raise Unusable(f"{name} is not a JSON object")
        return found

    def lines(self, name: str) -> Iterator[Any]:
        """One JSON value per line."""
        if name in self._members:
            with self.open(name) as file, io.BufferedReader(file, MIB) as lines:  # type: ignore[type-var]
                yield from json_lines(lines, name)

    def object(self, sha256: str) -> bytes:
        """The bytes of an object of evidence; whether they are those of its name is for the caller to see."""
        member = self._members["evidence/" + sha256]
        if member.file_size > LARGEST_OBJECT:
            raise Unusable(f"evidence/{sha256} has {member.file_size:,} bytes; {LARGEST_OBJECT:,} is the most")
        return self._zip.read(member)


HALF_A_LINE = object()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice: another reader may take the other one")
    return found


_lenient = json.JSONDecoder(object_pairs_hook=_once).decode


def json_lines(file: BinaryIO, name: str, instead: object = None) -> Iterator[Any]:
    """One value per line. `instead` stands for a line that is no JSON; without it, such a line is refused.

    Raises: Unusable, which names the line.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise Unusable(f"{name}: line {number} is longer than {LONGEST_LINE:,} bytes")
        if line.strip():
            try:
                found = _lenient(line.decode())
            except (ValueError, RecursionError) as error:
                if instead is None:
                    raise Unusable(f"{name}: line {number} is not JSON: {error}") from None
                found = instead
            yield found


def lines_of(path: Path, instead: object = None) -> Iterator[Any]:
    """The JSON lines of a file beside the pack."""
    try:
        with path.open("rb") as file:
            yield from json_lines(file, path.name, instead)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None


_RECORDED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""The one spelling in which the database records instants: texts of it sort as instants do."""


def moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 instant. Raises: ValueError."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return when.timestamp()


def utc(seconds: float) -> str:
    """An instant for a reader."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def plainly(text: str) -> str:
    """With escapes for what is not ASCII: two names that look alike do not read alike."""
    return text if text.isascii() else ascii(text)


# 3. Hashing ----------------------------------------------------------------------------------------------------------

GENESIS = "0" * 64
LARGEST_INTEGER = 2**53


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


class NotCanonical(ValueError):
    """The bytes are not RFC 8785 JSON by the ledger's rules."""


def _no_float(text: str) -> Any:
    raise NotCanonical(f"it holds a float ({text[:30]}), which has no single spelling")


def _integer(text: str) -> int:
    if len(text) > 17 or abs(number := int(text)) >= LARGEST_INTEGER:
        raise NotCanonical("it holds an integer beyond 2^53")
    return number


_decode = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float, parse_int=_integer).decode
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def _utf16(value: Any) -> Any:
    """Keys in the order of RFC 8785 (UTF-16 code units), where it is another than that of Unicode code points."""
    if isinstance(value, dict):
        return {key: _utf16(value[key]) for key in sorted(value, key=lambda one: one.encode("utf-16-be"))}
    return [_utf16(one) for one in value] if isinstance(value, list) else value


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a value without floats."""
    text = _encode(value)
    if not text.isascii():
        text = json.dumps(_utf16(value), ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def parse_canonical(body: bytes) -> Any:
    """The value, if writing it again gives the same bytes: no floats, keys sorted and unique, one spelling.

    Raises: NotCanonical.
    """
    try:
        value = _decode(body.decode())
        if canonical(value) == body:
            return value
    except NotCanonical:
        raise
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"it is not JSON: {error}") from None
    raise NotCanonical("it is not the canonical spelling of what it says: a key twice, unsorted, or blanks")


def chain_hash(stream: str, seq: int, kind: str, actor: str, occurred: str, recorded: str, prev: str, body: str) -> str:
    """The hash of an entry: SHA-256 over its fields, each with its length in bytes before it."""
    number = str(seq)
    whole = (
        f"12:qm.ledger.v1{_size(stream)}:{stream}{len(number)}:{number}{_size(kind)}:{kind}{_size(actor)}:{actor}"
        f"{_size(occurred)}:{occurred}{_size(recorded)}:{recorded}{_size(prev)}:{prev}{_size(body)}:{body}"
    )
    return hashlib.sha256(whole.encode()).hexdigest()


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def leaf_hash(entry_hash: str) -> bytes:
    """RFC 9162: 0x00 before a leaf."""
    return hashlib.sha256(b"\x00" + bytes.fromhex(entry_hash)).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162: 0x01 before an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A Merkle tree that grows by leaves; only the roots of its perfect subtrees are kept."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """One more."""
        self.size, bits = self.size + 1, self.size
        while bits & 1:
            leaf, bits = node_hash(self._subtrees.pop(), leaf), bits >> 1
        self._subtrees.append(leaf)

    def root(self) -> str:
        """Hex."""
        if not self._subtrees:
            return sha256_hex(b"")
        found = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            found = node_hash(left, found)
        return found.hex()


def batch_root(items: Iterable[str]) -> str:
    """The root that a batch entry has of its items."""
    tree = Tree()
    for item in items:
        tree.add(hashlib.sha256(b"\x00" + item.encode()).digest())
    return tree.root()


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> str | None:
    """The root that this path leads to (RFC 9162, 2.1.3.2); None: no such path."""
    if index >= size:
        return None
    here, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if here & 1 or here == last:
            found = node_hash(sibling, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        here, last = here >> 1, last >> 1
    return found.hex() if last == 0 else None


# 4. Keys and signed notes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A notary's public key: C2SP signed-note verifier key, NAME+HASH+BASE64(0x01 || 32 bytes)."""

    name: str
    hash: bytes
    public: bytes
    text: str

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Raises: ValueError."""
        name, _, rest = text.strip().partition("+")
        hexed, _, encoded = rest.partition("+")
        raw = base64.b64decode(encoded, validate=True)
        if len(raw) != 33 or raw[0] != 1:
            raise ValueError("it is not an Ed25519 verifier key")
        expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if expected.hex() != hexed:
            raise ValueError("its hash is not that of the key")
        return cls(name, expected, raw[1:], text.strip())

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether it made this signature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Rotation:
    """A key and the statement, signed by the one before and by itself, that it follows."""

    key: Key
    first_checkpoint: int
    statement: bytes | None
    old_signature: bytes
    new_signature: bytes

    @classmethod
    def parse(cls, row: dict[str, Any]) -> "Rotation":
        """Raises: ValueError, KeyError."""
        statement = row.get("statement")
        told = _lenient(statement) if isinstance(statement, str) else row
        return cls(
            Key.parse(row.get("verifier_key") or row["key"]),
            # What was signed counts; the row beside it anybody may have changed.
            int(told.get("first_checkpoint") or 1),
            statement.encode() if isinstance(statement, str) else None,
            _signature(row.get("old_signature")),
            _signature(row.get("new_signature")),
        )

    @property
    def told(self) -> dict[str, Any]:
        """The statement; empty for a first key."""
        found = _lenient(self.statement.decode()) if self.statement is not None else {}
        return found if isinstance(found, dict) else {}

    def follows(self, old: Key) -> bool:
        """Whether the statement says that it follows this key, and both signed it."""
        told = self.told
        return (
            self.statement is not None
            and (told.get("old_key"), told.get("new_key")) == (old.text, self.key.text)
            and self.key.signed(self.statement, self.new_signature)
            and old.signed(self.statement, self.old_signature)
        )


def _signature(text: str | None) -> bytes:
    """The 64 bytes of a signature, bare or as the end of a signed note's line."""
    if not text:
        return b""
    raw = base64.b64decode(text.split()[-1], validate=True)
    return raw[4:] if len(raw) == 68 else raw


def vouched_for(trusted: Iterable[Key], rotations: Sequence[Rotation]) -> list[Key]:
    """The trusted keys and all that are joined to them by statements that the old and the new key signed."""
    known = {key.text: key for key in trusted}
    grown = True
    while grown:
        grown = False
        everybody = {one.key.text: one.key for one in rotations} | known
        for one in rotations:
            for old in everybody.values():
                if (old.text in known) != (one.key.text in known) and one.follows(old):
                    known |= {old.text: old, one.key.text: one.key}
                    grown = True
    return list(known.values())


@dataclass(frozen=True)
class Checkpoint:
    """A signed note: how large the tree was at an instant, and its root."""

    origin: str
    size: int
    root: str
    at: float
    ledger_at: float
    body: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]
    note: str

    @classmethod
    def parse(cls, note: str) -> "Checkpoint":
        """Raises: ValueError."""
        text, blank, signatures = note.partition("\n\n")
        if not blank:
            raise ValueError("there is no signature")
        origin, size, root, *rest = text.split("\n")
        times = {}
        for line, name in zip(rest, ("time", "ledger-time"), strict=False):
            times[name] = moment(line.split()[-1])
        if not size.isdecimal() or (size != "0" and size.startswith("0")):
            raise ValueError(f"{size[:20]!r} is not a size")
        signed = []
        for line in signatures.split("\n"):
            if line:
                dash, name, encoded = line.split(" ")
                raw = base64.b64decode(encoded, validate=True)
                if dash != "\u2014" or len(raw) < 5:
                    raise ValueError("a signature line is not one")
                signed.append((name, raw[:4], raw[4:]))
        raw_root = base64.b64decode(root, validate=True)
        if len(raw_root) != 32:
            raise ValueError("the root is not 32 bytes")
        return cls(
            origin, int(size), raw_root.hex(), times["time"], times["ledger-time"], f"{text}\n".encode(),
            tuple(signed), note,
        )  # fmt: skip

    def signer(self, keys: Iterable[Key]) -> Key | None:
        """Which of the keys signed it."""
        for key in keys:
            for name, key_hash, signature in self.signatures:
                if (
                    (name, key_hash) == (self.origin, key.hash)
                    and name == key.name
                    and key.signed(self.body, signature)
                ):
                    return key
        return None


# 5. Anchors ----------------------------------------------------------------------------------------------------------


class Leaf(NamedTuple):
    """What an anchor remembers of one entry."""

    place: int
    stream: str
    seq: int
    type: str
    actor: str
    occurred_at: str
    recorded_at: str
    body_sha256: str
    hash: str


class Loss(NamedTuple):
    """A log that ended because certified entries were gone for good, and the one that goes on from what was left."""

    rotation: Rotation
    old: Key
    leaves: int
    told: dict[str, Any]

    @property
    def words(self) -> str:
        """Who declared what, and why."""
        return (f"{self.told.get('actor')} declared {self.told.get('time')} that certified entries from leaf "
                f"{self.leaves} on are gone for good ({str(self.told.get('reason'))[:200]}); a new log, "
                f"{self.rotation.key.name}, goes on from there")  # fmt: skip


def losses_of(rotations: Iterable[Rotation], keys: Sequence[Key], findings: Findings) -> list[Loss]:
    """The losses that the key before declared. Whatever says so without its signature is a finding and counts nothing.

    Raises: ValueError, KeyError, TypeError.
    """
    found: dict[bytes, Loss] = {}
    trusted = {key.text for key in keys}
    for one in rotations:
        told = one.told
        if "loss" not in told or one.statement is None or one.statement in found:
            continue
        old = Key.parse(told["old_key"])
        if old.text in trusted and one.follows(old):
            found[one.statement] = Loss(one, old, int(told["loss"]["leaves"]), told)
        else:
            findings.add("loss_forged", "a loss is declared, and the key before did not sign that: nothing is gone on "
                         "its account")  # fmt: skip
    return list(found.values())


@dataclass
class Anchors:
    """What the notary left elsewhere."""

    leaves: dict[int, Leaf] = field(default_factory=dict)
    """Of the log that goes on."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    rotations: list[Rotation] = field(default_factory=list)
    files: int = 0
    ended: set[str] = field(default_factory=set)
    """Names of logs that ended with a loss."""
    _logs: dict[str, dict[int, Leaf]] = field(default_factory=lambda: defaultdict(dict))
    """By name. A leaf is of the log whose checkpoint comes after it."""
    _waiting: list[Leaf] = field(default_factory=list)
    _log: str = ""

    def read(self, path: Path, findings: Findings) -> None:
        """A file, or every `*.jsonl` of a folder. Raises: Unusable."""
        if not path.exists():
            raise Unusable(f"there is no anchor {path}")
        paths = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not paths:
            raise Unusable(f"{path} holds no anchor (*.jsonl)")
        for one in paths:
            self.files += 1
            broken = 0
            for line in lines_of(one, HALF_A_LINE):
                if line is HALF_A_LINE:
                    broken += 1
                    continue
                try:
                    self._take(line, findings)
                except (ValueError, TypeError, KeyError, AttributeError) as error:
                    raise Unusable(f"{one.name}: this is no line of an anchor: {str(line)[:80]}: {error}") from None
            if broken:
                findings.note(f"{one.name}: {broken} lines were broken off, as a crash leaves them; what they should "
                              "have said follows them")  # fmt: skip
        self._are_of(self._log, findings)

    def _take(self, line: dict[str, Any], findings: Findings) -> None:
        if "leaf" in line:
            leaf = Leaf(*line["leaf"])
            if not isinstance(leaf.place, int) or not isinstance(leaf.seq, int) or not _HEX.fullmatch(leaf.hash):
                raise ValueError("index and seq are numbers, a hash is 64 hexadecimal digits")
            self._waiting.append(leaf)
        elif "checkpoint" in line:
            one = Checkpoint.parse(line["checkpoint"])
            self.checkpoints.append(one)
            self._are_of(one.origin, findings)
        elif "key" in line:
            rotation = Rotation.parse(line)
            self.rotations.append(rotation)
            if "loss" in rotation.told:
                self._are_of(Key.parse(rotation.told["old_key"]).name, findings)

    def _are_of(self, log: str, findings: Findings) -> None:
        known, self._log = self._logs[log], log
        for leaf in self._waiting:
            if known.setdefault(leaf.place, leaf) != leaf:
                findings.add("forked", f"the anchors remember two different entries as leaf {leaf.place}",
                             stream=leaf.stream, seq=leaf.seq)  # fmt: skip
        self._waiting.clear()

    def settle(self, losses: Sequence[Loss], known_losses: Sequence[str], findings: Findings) -> None:
        """Follow the log from loss to loss to the one that goes on, and tell of each what was lost."""
        after = {one.old.name: one for one in losses}
        begun = {one.rotation.key.name for one in losses}
        self.ended = set(after)
        for name, leaves in self._logs.items():
            if name not in begun:
                for index, leaf in leaves.items():
                    if self.leaves.setdefault(index, leaf) != leaf:
                        findings.add("forked", f"the anchors remember two different entries as leaf {index}",
                                     stream=leaf.stream, seq=leaf.seq)  # fmt: skip
        here = next((one.old.name for one in losses if one.old.name not in begun), None)
        while here in after:
            loss = after.pop(here)
            here = loss.rotation.key.name
            gone = {index: leaf for index, leaf in self.leaves.items() if index >= loss.leaves}
            fresh = self._logs.get(here, {})
            self.leaves = {index: leaf for index, leaf in self.leaves.items() if index < loss.leaves} | fresh
            self.checkpoints = [one for one in self.checkpoints
                                if one.origin != loss.old.name or one.size <= loss.leaves]  # fmt: skip
            still = {leaf.hash for leaf in fresh.values()}
            _tell_of(loss, [gone[index] for index in sorted(gone) if gone[index].hash not in still], known_losses,
                     findings)  # fmt: skip

    def check(self, keys: Sequence[Key], findings: Findings) -> dict[int, str]:
        """That they are whole: what they remember hashes to what they say, and leads to the signed roots.

        The roots that they know, by size.
        """
        hashes = {(leaf.stream, leaf.seq): leaf.hash for leaf in self.leaves.values()}
        for leaf in self.leaves.values():
            _, stream, seq, kind, actor, occurred, recorded, body, own = leaf
            prev = GENESIS if seq == 1 else hashes.get((stream, seq - 1))
            if prev is not None and chain_hash(stream, seq, kind, actor, occurred, recorded, prev, body) != own:
                findings.add("anchor_damaged", "the anchor's own line does not hash to what it says",
                             stream=stream, seq=seq)  # fmt: skip
        tree, roots = Tree(), {0: sha256_hex(b"")}
        wanted = {one.size for one in self.checkpoints}
        while (leaf_here := self.leaves.get(tree.size)) is not None:
            tree.add(leaf_hash(leaf_here.hash))
            if tree.size in wanted:
                roots[tree.size] = tree.root()
        by_size: dict[int, str] = {}
        for one in self.checkpoints:
            if one.signer(keys) is None:
                findings.add("anchor_damaged", f"an anchored checkpoint of size {one.size} bears no trusted signature")
            elif by_size.setdefault(one.size, one.root) != one.root:
                findings.add("forked", f"the anchors hold two signed checkpoints of size {one.size} with other roots")
            elif one.size in roots and roots[one.size] != one.root:
                findings.add("anchor_damaged", f"the anchored leaves do not lead to the root of size {one.size}")
        return by_size


def _tell_of(loss: Loss, gone: Sequence[Leaf], known_losses: Sequence[str], findings: Findings) -> None:
    words = f"{loss.words}; the anchors remember {len(gone)} entries that are gone"
    if loss.rotation.key.name in known_losses:
        findings.note(f"LOSS, known to you: {words}")
        return
    findings.add("loss_accepted", words)
    for leaf in gone:
        findings.add("entry_lost", f"{leaf.type} by {plainly(leaf.actor)}, recorded {leaf.recorded_at}, is gone with "
                     "an accepted loss", stream=leaf.stream, seq=leaf.seq)  # fmt: skip


# 6. The tree ---------------------------------------------------------------------------------------------------------


@dataclass
class Sealed:
    """Leaves and checkpoints of the pack, and what the anchors say about the same places."""

    streams: list[str] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    index_of: dict[str, dict[int, int]] = field(default_factory=dict)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    roots: dict[int, str] = field(default_factory=dict)
    """Size -> root that the pack's leaves lead to."""
    diverges_at: int | None = None
    """First leaf that is not the anchored one."""
    anchored_until: float = 0.0
    """When the newest checkpoint was signed that the anchors and this pack should share; 0: there is none."""
    history_is_another: bool = False
    """Forked or rolled back: what differs after `diverges_at` is explained by that."""
    dating: list[Checkpoint] = field(default_factory=list)
    """Checkpoints of the pack and of the anchors by size: each says what was there at an instant, and what was not."""
    places: dict[tuple[str, int], int] = field(default_factory=dict)
    """In a pack of one decision, where the paths say that entries stand."""
    begun: int = 0
    """The leaf with which the notary began; what is before it was written before there was one, and may be old."""

    def read_leaves(self, pack: Pack, findings: Findings) -> None:
        """Raises: Unusable."""
        for row in pack.lines("ledger/leaves.jsonl"):
            try:
                index, stream, seq, own = row
                if not (isinstance(stream, str) and isinstance(seq, int) and _HEX.fullmatch(own)):
                    raise ValueError("index, stream, seq, hash")
            except (ValueError, TypeError) as error:
                raise Unusable(f"ledger/leaves.jsonl: {error}") from None
            if index != len(self.hashes):
                findings.add("leaf_index_gap", f"leaf {index} stands where leaf {len(self.hashes)} should",
                             stream=stream, seq=seq)  # fmt: skip
            here = self.index_of.setdefault(stream, {})
            if seq in here:
                findings.add("leaf_twice", "the tree has two leaves for one entry", stream=stream, seq=seq)
            here[seq] = len(self.hashes)
            self.streams.append(stream)
            self.seqs.append(seq)
            self.hashes.append(own)

    def grow(self, sizes: Iterable[int]) -> None:
        """The roots that the leaves lead to at these sizes."""
        wanted, tree = set(sizes) | {len(self.hashes)}, Tree()
        for own in self.hashes:
            if tree.size in wanted:
                self.roots[tree.size] = tree.root()
            tree.add(leaf_hash(own))
        self.roots[tree.size] = tree.root()

    def date_by(self, anchored: Iterable[Checkpoint], known: dict[int, Leaf]) -> None:
        """Take the checkpoints of both: one that is missing here still tells of its instant."""
        every = {one.body: one for one in [*anchored, *self.checkpoints]}
        self.dating = sorted(every.values(), key=lambda one: (one.size, one.ledger_at))
        self._sizes = [one.size for one in self.dating]
        first = next((index for index, leaf in known.items() if (leaf.stream, leaf.seq) == ("notary", 1)), 0)
        self.begun = self.index_of.get("notary", {}).get(1, first)

    def index(self, stream: str, seq: int) -> int | None:
        """The place of an entry in the tree; None: it has none, or none is known."""
        return self.index_of.get(stream, {}).get(seq, self.places.get((stream, seq)))

    def covered_at(self, index: int) -> tuple[Checkpoint | None, Checkpoint | None]:
        """The newest checkpoint without this leaf, and the first one with it."""
        place = bisect.bisect_right(self._sizes, index)
        before = self.dating[place - 1] if place else None
        return before, self.dating[place] if place < len(self.dating) else None

    def certified_later(self, one: tuple[str, int], other: tuple[str, int]) -> bool:
        """Whether a checkpoint has the other entry and not this one: then this one was written after it."""
        index, beside = self.index(*one), self.index(*other)
        if beside is None or beside < self.begun:
            return False
        first = bisect.bisect_right(self._sizes, beside)
        return first < len(self._sizes) and (index is None or bisect.bisect_right(self._sizes, index) > first)

    _sizes: list[int] = field(default_factory=list)


def read_checkpoints(pack: Pack, findings: Findings) -> list[tuple[int, Checkpoint]]:
    """Number and note of each, in order."""
    found: list[tuple[int, Checkpoint]] = []
    for row in pack.lines("ledger/checkpoints.jsonl"):
        try:
            number, one = int(row["number"]), Checkpoint.parse(row["note"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            findings.add("checkpoint_unreadable", f"a checkpoint is not a signed note: {error}")
            continue
        if (row.get("size"), row.get("root")) != (one.size, one.root):
            findings.add("checkpoint_altered", f"checkpoint {number}: its row says another size or root than its note")
        found.append((number, one))
    for (before, older), (number, newer) in itertools.pairwise(found):
        if number != before + 1:
            findings.add("checkpoint_gap", f"after checkpoint {before} comes {number}")
        if newer.size < older.size:
            findings.add("checkpoint_shrinks", f"checkpoint {number} has {newer.size} entries, {before} {older.size}")
        if min(newer.at - older.at, newer.ledger_at - older.ledger_at) < -CLOCK_SLACK_SECONDS:
            findings.add("clock_backwards", f"checkpoint {number} is older than checkpoint {before}")
    return found


def check_signatures(
    found: Sequence[tuple[int, Checkpoint]], rotations: Sequence[Rotation], keys: Sequence[Key],
    losses: Sequence[Loss], findings: Findings,
) -> list[Checkpoint]:  # fmt: skip
    """Every checkpoint by a trusted key that was the notary's then; those that are."""
    trusted = {key.text for key in keys}
    firsts = sorted(
        {
            (one.first_checkpoint, one.key.text)
            for one in rotations
            if one.key.text in trusted
            # Numbers of a log that ended are given again.
            and not any(one.key.name == loss.old.name and one.first_checkpoint >= loss.rotation.first_checkpoint
                        for loss in losses)
        }
    )  # fmt: skip
    strangers: dict[str, list[int]] = defaultdict(list)
    good = []
    for number, one in found:
        key = one.signer(keys)
        if key is None:
            if {(name, hashed) for name, hashed, _ in one.signatures} & {(key.name, key.hash) for key in keys}:
                findings.add("signature_wrong", f"checkpoint {number} does not bear the signature that it shows")
            else:
                strangers[one.signatures[0][1].hex() if one.signatures else "none"].append(number)
            continue
        good.append(one)
        then = [text for first, text in firsts if first <= number]
        if then and then[-1] != key.text:
            findings.add("key_not_valid_then", f"checkpoint {number} is signed by a key that was not in use then")
    for hashed, numbers in strangers.items():
        words = f"checkpoints {numbers[0]} to {numbers[-1]} ({len(numbers)}) are signed by key {hashed}"
        findings.add("resigned_with_other_key", f"{words}, for which no trusted key vouches")
    for one_key in {one.key.text: one for one in rotations}.values():
        if one_key.key.text not in trusted:
            findings.add("resigned_with_other_key", "the list of keys has one for which no trusted key vouches: "
                         f"{one_key.key.text[:120]}")  # fmt: skip
    return good


def anchored_then(
    sealed: Sealed, anchors: Anchors, keys: Sequence[Key], made_at: float, findings: Findings
) -> tuple[list[Checkpoint], dict[int, Leaf]]:
    """Signed checkpoints that were anchored when the pack was made, and the leaves that they cover."""
    signed = [one for one in anchors.checkpoints if one.signer(keys) is not None]
    # Both by the database's clock. Whoever has a checkpoint has all that were signed before it.
    made_at = max([made_at, *(one.ledger_at for one in sealed.checkpoints)])
    newer = [one for one in signed if one.ledger_at > made_at]
    anchored = [one for one in signed if one.ledger_at <= made_at]
    if newer:
        findings.note(f"the anchors go on to {max(one.size for one in newer):,} entries after this pack says it was "
                      "made: if you asked for it later than that, it is an old one (see --requested)")  # fmt: skip
    size = max((one.size for one in anchored), default=0)
    known = {index: leaf for index, leaf in anchors.leaves.items() if index < size}
    newest = max((one.ledger_at for one in anchored), default=None)
    if newest is not None and made_at - newest > ANCHOR_BEHIND_SECONDS and not newer:
        findings.note(f"the anchors end at {utc(newest)}, {made_at - newest:.0f} seconds before the pack was made: "
                      "they do not speak for anything after that. Ask their keeper for the newest file")  # fmt: skip
    if len(known) < size:
        findings.note(f"the anchors lack {size - len(known):,} of the first {size:,} leaves: files are missing, and of "
                      "those entries they cannot say what was changed")  # fmt: skip
    return anchored, known


def check_heartbeat(sealed: Sealed, anchored: Sequence[Checkpoint], anchors: Anchors, findings: Findings) -> None:
    """That no checkpoint was taken out, and when the notary said nothing."""
    own = {one.body for one in sealed.checkpoints}
    newest = max((one.at for one in sealed.checkpoints), default=0.0)
    gone = [one for one in anchored if one.body not in own and one.at < newest and one.origin not in anchors.ended]
    if gone:
        findings.add("checkpoint_missing", f"{len(gone)} anchored checkpoints are not in the pack, and later ones are; "
                     f"first the one of {utc(gone[0].at)}")  # fmt: skip
    times = sorted({one.at for one in [*sealed.checkpoints, *anchored]})
    silent = [(after - before, before, after) for before, after in itertools.pairwise(times)
              if after - before > SILENCE_SECONDS]  # fmt: skip
    for seconds, before, after in sorted(silent, reverse=True)[:3]:
        findings.note(f"the notary signed nothing for {seconds / 60:.0f} minutes, from {utc(before)} to {utc(after)}: "
                      "what was written meanwhile could be changed until then")  # fmt: skip
    if len(silent) > 3:
        findings.note(f"it was silent {len(silent) - 3} more times")


def check_tree(
    sealed: Sealed, anchored: Sequence[Checkpoint], known: dict[int, Leaf], findings: Findings
) -> None:  # fmt: skip
    """Roots, consistency, forks and rollbacks."""
    sealed.grow([one.size for one in [*sealed.checkpoints, *anchored]])
    wrong = [one for one in sealed.checkpoints if sealed.roots.get(one.size) != one.root]
    if wrong:
        beyond = " (there are fewer leaves than that)" if wrong[0].size > len(sealed.hashes) else ""
        findings.add("root_mismatch", f"{len(wrong)} of {len(sealed.checkpoints)} signed checkpoints have another root "
                     f"than the leaves lead to, first the one of size {wrong[0].size}{beyond}")  # fmt: skip
    sealed.anchored_until = max((one.ledger_at for one in anchored), default=0.0)
    for index in sorted(known):
        if index >= len(sealed.hashes) or sealed.hashes[index] != known[index].hash:
            sealed.diverges_at = index
            break
    bad = [one for one in anchored if sealed.roots.get(one.size) != one.root]
    if bad:
        findings.add("anchor_mismatch", f"{len(bad)} of {len(anchored)} anchored checkpoints are not in this ledger, "
                     f"first the one of size {bad[0].size}")  # fmt: skip
    _fork_or_rollback(sealed, anchored, bad, known, findings)


def _fork_or_rollback(
    sealed: Sealed, anchored: Sequence[Checkpoint], bad: Sequence[Checkpoint], known: dict[int, Leaf],
    findings: Findings,
) -> None:  # fmt: skip
    """Two signed histories, or an earlier one."""
    by_size: dict[int, str] = {}
    for one in [*sealed.checkpoints, *anchored]:
        if by_size.setdefault(one.size, one.root) != one.root:
            findings.add("forked", f"two signed checkpoints of size {one.size} have different roots: the notary's key "
                         "vouched for two histories")  # fmt: skip
            sealed.history_is_another = True
            return
    if not bad:
        return
    apart = sealed.diverges_at if sealed.diverges_at is not None else bad[0].size - 1
    consistent = [one for one in sealed.checkpoints if one.size > apart and sealed.roots.get(one.size) == one.root]
    if consistent and apart < len(sealed.hashes):
        findings.add("forked", f"the signed checkpoint of size {consistent[0].size} and the anchored one of size "
                     f"{bad[0].size} contradict each other from leaf {apart} on")  # fmt: skip
        sealed.history_is_another = True
        return
    last = max((one.size for one in sealed.checkpoints), default=0)
    newest = max(one.size for one in anchored)
    gone = [index for index in known if index >= last]
    sealed_now = set(sealed.hashes)
    if apart >= last and last < newest and gone and not any(known[index].hash in sealed_now for index in gone):
        sealed.history_is_another = True
        findings.add("rolled_back", f"the anchors know {newest:,} entries, this ledger ends at {last:,}: everything "
                     "after that is gone, as when an old backup is put in its place")  # fmt: skip


def check_clocks(found: Sequence[tuple[int, Checkpoint]], findings: Findings) -> None:
    """The notary's clock and the database's, beside each other."""
    for number, one in found:
        if abs(one.at - one.ledger_at) > SKEW_SECONDS:
            findings.note(f"checkpoint {number}: the notary's clock and the database's are "
                          f"{abs(one.at - one.ledger_at):.0f} seconds apart")  # fmt: skip
            return


# 7. Chains -----------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One entry of the pack."""

    stream: str
    seq: int
    type: str
    actor: str
    occurred_at: str
    recorded_at: str
    body: bytes
    body_sha256: str
    prev_hash: str
    hash: str

    @property
    def said(self) -> tuple[str, str, str, str, str]:
        """All of it but its place: two entries that say the same are the same."""
        return self.type, self.actor, self.occurred_at, self.recorded_at, sha256_hex(self.body)


def read_entry(row: dict[str, Any]) -> Entry:
    """Raises: Unusable."""
    try:
        body = row["body"].encode() if "body" in row else base64.b64decode(row["body_base64"], validate=True)
        found = Entry(row["stream"], row["seq"], row["type"], row["actor"], row["occurred_at"], row["recorded_at"],
                      body, row["body_sha256"], row["prev_hash"], row["hash"])  # fmt: skip
        texts = (found.stream, found.type, found.actor, found.occurred_at, found.recorded_at, found.body_sha256,
                 found.prev_hash, found.hash)  # fmt: skip
        if isinstance(found.seq, bool) or not isinstance(found.seq, int):
            raise TypeError("seq is not a number")
        "".join(texts).encode()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unusable(f"ledger/entries.jsonl: {type(error).__name__}: {error}") from None
    return found


def chains(pack: Pack) -> Iterator[tuple[str, list[Entry]]]:
    """Each chain with its entries as the pack has them. Raises: Unusable, for a chain that comes in two pieces."""
    seen: set[str] = set()
    stream, entries = None, list[Entry]()
    for row in pack.lines("ledger/entries.jsonl"):
        entry = read_entry(row)
        if entry.stream != stream:
            if stream is not None:
                yield stream, entries
            if entry.stream in seen:
                raise Unusable(f"ledger/entries.jsonl: the chain {entry.stream[:100]!r} comes in two pieces")
            seen.add(entry.stream)
            stream, entries = entry.stream, []
        entries.append(entry)
    if stream is not None:
        yield stream, entries


class ChainCheck:
    """One pass over every chain: bodies, hashes, links, numbers, leaves and times."""

    def __init__(
        self, sealed: Sealed, with_tree: bool, longest_transaction: float, facts: "Facts", findings: Findings
    ) -> None:
        self._sealed, self._with_tree, self._patience = sealed, with_tree, longest_transaction
        self._facts, self._findings = facts, findings
        self.entries = self.streams = self.unsealed = 0
        self.proofs: dict[tuple[str, int], str] = {}
        """Hashes that were proven to be in the tree by their path (packs of one decision)."""

    def check(self, stream: str, entries: Sequence[Entry], must_be_whole: bool) -> None:
        """Compare what is there with what it hashes to and with the tree."""
        self.streams += 1
        leaves = self._sealed.index_of.get(stream, {})
        before: Entry | None = None
        for entry in entries:
            self.entries += 1
            self._body(entry)
            self._link(entry, before, leaves, must_be_whole)
            self._seal(entry, leaves)
            if before is not None:
                self._times(entry, before)
                if self._with_tree and self._sealed.certified_later((stream, before.seq), (stream, entry.seq)):
                    self._findings.add("leaf_order", "a checkpoint has it and not the entry before it in its chain",
                                       stream=stream, seq=entry.seq)  # fmt: skip
            before = entry
        if must_be_whole:
            for seq in leaves.keys() - {entry.seq for entry in entries}:
                self._findings.add("leaf_without_entry", "the tree has this entry and the pack has not",
                                   stream=stream, seq=seq)  # fmt: skip

    def _body(self, entry: Entry) -> None:
        own = sha256_hex(entry.body)
        if own != entry.body_sha256:
            self._findings.add("body_changed", "its body is not the one that its digest is of",
                               stream=entry.stream, seq=entry.seq)  # fmt: skip
        expected = chain_hash(entry.stream, entry.seq, entry.type, entry.actor, entry.occurred_at, entry.recorded_at,
                              entry.prev_hash, entry.body_sha256)  # fmt: skip
        if expected != entry.hash:
            self._findings.add("hash_wrong", "its hash is not that of its content", stream=entry.stream, seq=entry.seq)
        try:
            said = parse_canonical(entry.body)
        except NotCanonical as error:
            self._findings.add("not_canonical", f"its body breaks the ledger's rules: {error}",
                               stream=entry.stream, seq=entry.seq)  # fmt: skip
        else:
            self._facts.take(entry, said)

    def _link(self, entry: Entry, before: Entry | None, leaves: dict[int, int], must_be_whole: bool) -> None:
        where = {"stream": entry.stream, "seq": entry.seq}
        expected = before.seq + 1 if before else 1
        if before is not None and entry.seq == before.seq:
            self._findings.add("duplicate_seq", "two entries have this number", **where)
        elif entry.seq != expected and must_be_whole:
            missing = f"{expected}" if entry.seq == expected + 1 else f"{expected} to {entry.seq - 1}"
            self._findings.add("chain_gap", f"before it, {missing} is missing", **where)
        if entry.seq == 1:
            previous: str | None = GENESIS
        elif before is not None and before.seq == entry.seq - 1:
            previous = before.hash
        else:
            # Only a part of the chain is here: the tree knows the hash of the entry before.
            index = leaves.get(entry.seq - 1)
            previous = None if index is None else self._sealed.hashes[index]
        if previous is not None and entry.prev_hash != previous:
            self._findings.add("chain_broken", "it does not follow the entry before it", **where)

    def _seal(self, entry: Entry, leaves: dict[int, int]) -> None:
        where = {"stream": entry.stream, "seq": entry.seq}
        index = leaves.get(entry.seq)
        if not self._with_tree:
            proven = self.proofs.get((entry.stream, entry.seq))
            if proven is None:
                self.unsealed += 1
                newest = self._sealed.dating[-1] if self._sealed.dating else None
                if newest is not None and _before(entry.recorded_at, newest.ledger_at - self._patience):
                    self._findings.add("unproven", "it is older than the newest checkpoint, and no path leads to it",
                                       **where)  # fmt: skip
            elif proven != entry.hash:
                self._findings.add("leaf_mismatch", "the tree has another entry in its place", **where)
            else:
                self._date(entry, self._sealed.places[entry.stream, entry.seq])
            return
        if index is None:
            self.unsealed += 1
            index = len(self._sealed.hashes)
        elif self._sealed.hashes[index] != entry.hash:
            self._findings.add("leaf_mismatch", "the tree has another entry in its place", **where)
            return
        elif not self._sealed.checkpoints or index >= self._sealed.checkpoints[-1].size:
            self.unsealed += 1
        self._date(entry, index)

    def _date(self, entry: Entry, index: int) -> None:
        """It was recorded before the first checkpoint that has it, and hardly before the one that has it not."""
        where = {"stream": entry.stream, "seq": entry.seq}
        try:
            recorded = moment(entry.recorded_at)
            if not _RECORDED.fullmatch(entry.recorded_at):
                raise ValueError("it is spelled in another way")
        except ValueError:
            self._findings.add("time_unreadable", f"{plainly(entry.recorded_at[:40])} is no instant as the database "
                               "records them", **where)  # fmt: skip
            return
        without, first = self._sealed.covered_at(index)
        if first is not None and recorded > first.ledger_at + CLOCK_SLACK_SECONDS:
            self._findings.add("dated_after_checkpoint", "a checkpoint that is older than it says has it", **where)
        if index >= self._sealed.begun and without is not None and recorded < without.ledger_at - self._patience:
            self._findings.add("late_insert", f"it says it was recorded at {entry.recorded_at}, and the checkpoint of "
                               f"size {without.size}, signed {without.ledger_at - recorded:.0f} seconds later, does "
                               "not have it", **where)  # fmt: skip

    def _times(self, entry: Entry, before: Entry) -> None:
        if entry.recorded_at >= before.recorded_at:
            return
        try:
            back = moment(before.recorded_at) - moment(entry.recorded_at)
        except ValueError:
            return
        if back > CLOCK_SLACK_SECONDS:
            self._findings.add("clock_backwards", f"it was recorded {back:.0f} seconds before the entry before it",
                               stream=entry.stream, seq=entry.seq)  # fmt: skip


# 8. What happened to a chain -----------------------------------------------------------------------------------------

ANSWERS = ("verdict.", "policy.approved", "policy.rejected")


@dataclass
class Changed:
    """An entry that is in its place and says something else than the anchor remembers."""

    leaf: Leaf
    entry: Entry


def _before(recorded_at: str, then: float) -> bool:
    try:
        return moment(recorded_at) <= then
    except ValueError:
        return False


class Naming:
    """Compares chains with what the anchors remember of them, and says what was done.

    First what differs: of what is remembered, what is missing; of what is there, what is new. What is missing and new
    at one number is a changed entry, named by the fields that differ. What is missing otherwise was dropped, what is
    new and stands before something remembered was put in. The same, in another order, was reordered.
    """

    def __init__(self, known: dict[int, Leaf], sealed: Sealed, findings: Findings, span: range) -> None:
        self._findings, self._span, self._sealed, self._size = findings, span, sealed, len(known)
        last = sealed.diverges_at if sealed.history_is_another else None
        self._by_stream: dict[str, dict[int, Leaf]] = defaultdict(dict)
        for leaf in known.values():
            if last is None or leaf.place < last:
                self._by_stream[leaf.stream][leaf.seq] = leaf
        self._anothers_from = last
        self._changed: list[Changed] = []

    def compare(self, stream: str, entries: Sequence[Entry], whole: bool) -> None:
        """One chain. `whole`: all of it should be here."""
        remembered = self._by_stream.pop(stream, {})
        self._planted(entries, remembered)
        if not remembered:
            return
        # Where the ledger is another one from some leaf on, that is the finding; only what came before is compared.
        here = entries if self._anothers_from is None else [one for one in entries if one.seq <= max(remembered)]
        if not whole:
            seqs = {one.seq for one in here}
            remembered = {seq: leaf for seq, leaf in remembered.items()
                          if seq in seqs or leaf.place in self._span}  # fmt: skip
        if not remembered:
            return
        found = {one.seq: (one.hash, one.said) for one in here}
        if len(found) == len(here) and all(
            found.get(seq) == (leaf.hash, leaf[3:8]) for seq, leaf in remembered.items()
        ):
            return
        self._differences([remembered[seq] for seq in sorted(remembered)], here)

    def _planted(self, entries: Sequence[Entry], remembered: dict[int, Leaf]) -> None:
        """What stands in the anchored part of the tree, behind the chain's end as the anchors remember it."""
        last = max(remembered, default=0)
        behind = [entry for entry in entries if entry.seq > last]
        if not behind or self._anothers_from is not None or not self._sealed.anchored_until:
            return
        old = {leaf[3:8] for leaf in remembered.values()}
        for entry in behind:
            index = self._sealed.index_of.get(entry.stream, {}).get(entry.seq, self._size)
            if entry.said not in old and index < self._size and _before(entry.recorded_at, self._sealed.anchored_until):
                self._findings.add("late_insert", "it stands where the anchored tree ended, and says it was recorded "
                                   "before that; the anchors do not remember it",
                                   stream=entry.stream, seq=entry.seq)  # fmt: skip

    def absent(self, in_scope: Iterable[str] | None) -> None:
        """Chains that the anchors remember and the pack does not have at all."""
        scope = None if in_scope is None else set(in_scope)
        for stream, remembered in self._by_stream.items():
            if scope is None or stream in scope:
                self._findings.add("dropped_stream", f"the anchors remember {len(remembered)} entries of this chain; "
                                   "none is there", stream=stream)  # fmt: skip

    def _differences(self, remembered: Sequence[Leaf], here: Sequence[Entry]) -> None:
        old = [leaf[3:8] for leaf in remembered]
        new = [entry.said for entry in here]
        surplus = Counter(new)
        surplus.subtract(Counter(old))
        self._twice(here, new, set(old), surplus)
        missing = {leaf.seq: leaf for leaf, said in zip(remembered, old, strict=True) if surplus[said] < 0}
        extra = {entry.seq: entry for entry, said in zip(here, new, strict=True) if said not in set(old)}
        for seq in sorted(missing.keys() & extra.keys()):
            self._changed.append(Changed(missing.pop(seq), extra.pop(seq)))
        self._dropped(remembered, missing)
        last = max((entry.seq for entry, said in zip(here, new, strict=True) if said in set(old)), default=0)
        for seq, entry in extra.items():
            if seq < last:
                self._findings.add("late_insert", "it stands before entries that the anchors remember, and they do not "
                                   "remember it", stream=entry.stream, seq=seq)  # fmt: skip
        self._order(remembered, here, old, new)

    def _twice(
        self, here: Sequence[Entry], new: Sequence[tuple[str, ...]], old: set[tuple[str, ...]], surplus: Counter[Any]
    ) -> None:
        seen: set[tuple[str, ...]] = set()
        for entry, said in zip(here, new, strict=True):
            if said in seen and said in old and surplus[said] > 0:
                self._findings.add("duplicate_seq", "it says what an entry before it says: it is there twice",
                                   stream=entry.stream, seq=entry.seq)  # fmt: skip
            seen.add(said)

    def _dropped(self, remembered: Sequence[Leaf], missing: dict[int, Leaf]) -> None:
        if not missing:
            return
        stream = remembered[0].stream
        if len(missing) == len(remembered):
            self._findings.add("dropped_stream", f"all {len(missing)} entries that the anchors remember are gone",
                               stream=stream)  # fmt: skip
            return
        tail: list[int] = []
        for leaf in reversed(remembered):
            if leaf.seq not in missing:
                break
            tail.append(leaf.seq)
        if tail:
            words = f"{len(tail)} entries from here on are gone: {', '.join(missing[seq].type for seq in tail[::-1])}"
            self._findings.add("dropped_tail", words[:300], stream=stream, seq=min(tail))
        for seq in sorted(missing.keys() - set(tail)):
            leaf = missing[seq]
            self._findings.add("dropped_middle", f"{leaf.type} by {leaf.actor}, recorded {leaf.recorded_at}, is gone",
                               stream=stream, seq=seq)  # fmt: skip

    def _order(self, remembered: Sequence[Leaf], here: Sequence[Entry], old: Sequence[Any], new: Sequence[Any]) -> None:
        there, known = set(new), set(old)
        was, seen = [said for said in old if said in there], set[Any]()
        now: list[Any] = []
        places: list[int] = []
        for entry, said in zip(here, new, strict=True):
            if said in known and said not in seen:
                seen.add(said)
                now.append(said)
                places.append(entry.seq)
        apart = [seq for before, after, seq in zip(was, now, places, strict=False) if before != after]
        if apart and len(set(was)) == len(was):
            self._findings.add("reordered", f"entries {apart[0]} to {apart[-1]} were written in another order",
                               stream=remembered[0].stream, seq=apart[0])  # fmt: skip

    def changed(self) -> None:
        """Name what was done to entries that are still in their place, seen over all chains."""
        by_old = defaultdict(list)
        for one in self._changed:
            by_old[one.leaf.body_sha256].append(one)
        for one in self._changed:
            leaf, entry = one.leaf, one.entry
            where = {"stream": leaf.stream, "seq": leaf.seq}
            body = sha256_hex(entry.body)
            if body != leaf.body_sha256:
                others = [o for o in by_old.get(body, []) if sha256_hex(o.entry.body) == leaf.body_sha256]
                if others:
                    there = others[0].leaf
                    self._findings.add("swapped_bodies", f"it says what {there.stream} entry {there.seq} said, and the "
                                       "other way round", **where)  # fmt: skip
                else:
                    self._findings.add("flipped_byte", f"the body of this {leaf.type} is not the one that was written "
                                       f"(SHA-256 {leaf.body_sha256})", **where)  # fmt: skip
            if entry.actor != leaf.actor:
                code = "approval_actor_edited" if leaf.type.startswith(ANSWERS) else "actor_edited"
                self._findings.add(code, f"{leaf.type} was by {plainly(leaf.actor)}; it now says "
                                   f"{plainly(entry.actor)}", **where)  # fmt: skip
            if (entry.occurred_at, entry.recorded_at) != (leaf.occurred_at, leaf.recorded_at):
                self._findings.add("back_dated", f"it happened {leaf.occurred_at} and was recorded {leaf.recorded_at}; "
                                   f"it now says {entry.occurred_at} and {entry.recorded_at}", **where)  # fmt: skip
            if entry.type != leaf.type:
                self._findings.add("type_edited", f"it was {leaf.type}; it now says {plainly(entry.type)}",
                                   **where)  # fmt: skip


# 9. Facts of decisions and orders ------------------------------------------------------------------------------------

LONG_PART = "evidence_sha256"
"""`{"evidence_sha256": DIGEST}` stands in an entry for a long part of it, which is kept as evidence."""
AUTHORISING = ("decision.proposed", "decision.released", "verdict.recorded", "verdict.signed")
REMEMBERED = ("decision.", "verdict.", "approval.", "order.", "task.opened")


class Step(NamedTuple):
    """What an entry of a decision's or an order's chain says."""

    seq: int
    type: str
    actor: str
    recorded_at: str
    body: dict[str, Any]


class Proposal(NamedTuple):
    """What a person, or the policy, agrees to."""

    seq: int
    recorded_at: str
    hash: str
    supplier: str
    units: int
    unit_cost: Decimal
    tier: str


class Facts:
    """What chains tell, kept small, and the arithmetic that one entry allows to check by itself."""

    def __init__(self, pack: Pack, findings: Findings) -> None:
        self._pack, self._findings = pack, findings
        self.steps: dict[str, list[Step]] = defaultdict(list)
        self.proposals: dict[str, list[Proposal]] = defaultdict(list)
        self.rests_on: list[tuple[str, int, dict[str, str]]] = []
        """Decision, sequence number of its entry, digests of inputs, model and policy."""
        self.batches: list[tuple[Entry, dict[str, Any]]] = []
        """Entries that stand for many items, with what they say."""
        self.long_parts: list[tuple[Entry, str]] = []
        """Parts of entries that are kept as evidence because they are long."""
        self.policies: set[str] = set()
        self._offsets: dict[tuple[str, str], int] = {}

    def take(self, entry: Entry, said: Any) -> None:
        """One entry; what cannot be read is a finding."""
        try:
            self._take(entry, said)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation) as error:
            self._findings.add("body_unreadable", f"a {entry.type} does not say what one says: "
                               f"{type(error).__name__} {error}"[:200], stream=entry.stream, seq=entry.seq)  # fmt: skip

    def _take(self, entry: Entry, said: Any) -> None:
        for name, part in said.items():
            if isinstance(part, dict) and LONG_PART in part:
                sha256 = str(part[LONG_PART])
                self.long_parts.append((entry, sha256))
                if entry.type in ("order.prepared", "policy.adopted"):
                    if sha256 not in self._pack.evidence:
                        return
                    said = said | {name: json.loads(self._pack.object(sha256))}
        if entry.type == "decision.proposed":
            self._proposed(entry, said)
        elif entry.type == "events.accepted":
            self._events(entry, said)
        elif entry.type == "holds.recorded":
            self._batch(entry, said)
        elif entry.type == "policy.adopted" and sha256_hex(canonical(said.get("policy"))) == said.get("digest"):
            self.policies.add(said["digest"])
        if entry.type == "decision.proposed":
            said = {"proposal_hash": said["proposal_hash"]}
        elif entry.type == "outcome.measured" or not entry.type.startswith(REMEMBERED):
            return
        self.steps[entry.stream].append(Step(entry.seq, entry.type, entry.actor, entry.recorded_at, dict(said)))

    def _proposed(self, entry: Entry, said: dict[str, Any]) -> None:
        decision = said["decision"]
        result = decision["result"]
        where = {"stream": entry.stream, "seq": entry.seq, "decision": entry.stream}
        if decision["decision_id"] != entry.stream:
            self._findings.add("decision_misplaced", f"it is decision {decision['decision_id']}", **where)
        if sha256_hex(canonical(decision)) != said["proposal_hash"]:
            self._findings.add("proposal_hash_wrong", "the hash that people approve is not that of the decision",
                               **where)  # fmt: skip
        found = Proposal(entry.seq, entry.recorded_at, str(said["proposal_hash"]), str(result["supplier"]),
                         int(result["units"]), Decimal(result["unit_cost"]), str(result["tier"]))  # fmt: skip
        if Decimal(result["value"]) != found.units * found.unit_cost:
            self._findings.add("value_wrong", f"{found.units} units at {found.unit_cost} are not {result['value']}",
                               **where)  # fmt: skip
        steps = result.get("waterfall") or []
        if steps and steps[-1]["units"] != found.units:
            self._findings.add("waterfall_wrong", f"its steps end at {steps[-1]['units']} units, it says {found.units}",
                               **where)  # fmt: skip
        self.proposals[entry.stream].append(found)
        digests = {name: str(decision[f"{name}_digest"]) for name in ("inputs", "model", "policy")}
        self.rests_on.append((entry.stream, entry.seq, digests))

    def _events(self, entry: Entry, said: dict[str, Any]) -> None:
        """Offsets go on where they ended. A batch that is given again, because its first answer was lost, is harmless
        as long as nothing of it is accepted a second time."""
        where, new = {"stream": entry.stream, "seq": entry.seq}, 0
        for place, (first, last) in sorted(said["ranges"].items()):
            key = (said["log"], place)
            expected = self._offsets.get(key, first)
            if first > last:
                self._findings.add("offsets_wrong", f"{place}: from {first} to {last}", **where)
            if first > expected:
                self._findings.add("offsets_missing", f"{place}: messages {expected} to {first - 1} are accounted for "
                                   "in no entry", **where)  # fmt: skip
            new += max(0, last + 1 - max(first, expected))
            self._offsets[key] = max(expected, last + 1)
        if said["accepted"] > new:
            self._findings.add("offsets_twice", f"it accepts {said['accepted']} messages, and only {new} of its "
                               "offsets were not accounted for before", **where)  # fmt: skip
        self._batch(entry, said)

    def _batch(self, entry: Entry, said: dict[str, Any]) -> None:
        if "items" in said:
            self.batches.append((entry, said))


# 10. Evidence --------------------------------------------------------------------------------------------------------


class Evidence:
    """Every object under its own digest, and for each decision everything that it rests on."""

    def __init__(self, pack: Pack, findings: Findings, *, models: bool, only: str | None) -> None:
        self._pack, self._findings, self._models, self._only = pack, findings, models, only
        self._standing: dict[str, tuple[str, ...] | None] = {}
        """What a whole object stands on; None: it is not there, or not whole."""
        self._users: dict[str, dict[str, str]] = defaultdict(dict)
        """Of what is missing or changed: which decision uses it as what."""
        self._missing: set[str] = set()
        self._damaged = {str(row.get("sha256")) for row in pack.lines("evidence/index.jsonl")
                         if row.get("absent") == "damaged"}  # fmt: skip
        """What whoever made the pack could not read either."""
        self.decisions = self.older = self.objects = 0

    def decision(self, decision: str, seq: int | None, stream: str, digests: dict[str, str], known: set[str]) -> None:
        """Inputs, snapshot and its parts, the code's facts, policy and model."""
        self.decisions += 1
        where = {"stream": stream, "seq": seq, "decision": decision}
        inputs = self._json(digests["inputs"], decision, "inputs")
        snapshot = inputs.get("snapshot") if inputs else None
        if inputs:
            about = inputs.get("need", {}).get("need_id")
            if about != decision:
                self._findings.add("evidence_misplaced", f"its inputs are those of {about}", **where)
        if snapshot:
            self._closure(str(snapshot), decision)
        elif inputs is not None:
            self.older += 1
        self._part(digests["policy"], decision, "policy", bool(snapshot) and digests["policy"] not in known)
        self._part(digests["model"], decision, "model", bool(snapshot) and self._models)

    def _part(self, sha256: str, decision: str, what: str, needed: bool) -> None:
        if needed or sha256 in self._pack.evidence:
            self._whole(sha256, decision, what)

    def _closure(self, snapshot: str, decision: str) -> None:
        todo, seen = [(snapshot, "snapshot")], {snapshot}
        while todo:
            sha256, what = todo.pop()
            for below in self._whole(sha256, decision, what) or ():
                if below not in seen:
                    seen.add(below)
                    todo.append((below, "part of the snapshot"))

    def _json(self, sha256: str, decision: str, what: str) -> dict[str, Any] | None:
        if self._whole(sha256, decision, what) is None:
            return None
        found = json.loads(self._pack.object(sha256))
        if not isinstance(found, dict):
            raise Unusable(f"evidence/{sha256}: {what} of {decision} are no JSON object")
        return found

    def _whole(self, sha256: str, decision: str, what: str) -> tuple[str, ...] | None:
        if sha256 not in self._standing:
            self._standing[sha256] = self._read(sha256, what)
        found = self._standing[sha256]
        if found is None:
            self._users[sha256].setdefault(decision, what)
        return found

    def _read(self, sha256: str, what: str) -> tuple[str, ...] | None:
        self.objects += 1
        if sha256 not in self._pack.evidence:
            if sha256 not in self._damaged:
                self._missing.add(sha256)
            return None
        body = self._pack.object(sha256)
        if sha256_hex(body) != sha256:
            return None
        if "snapshot" not in what:
            return ()
        below: list[str] = []
        document = json.loads(body)
        if what == "snapshot":
            below.append(str(document["source"]))
        todo: list[Any] = [document]
        while todo:
            value = todo.pop()
            if isinstance(value, dict):
                if set(value) == {"$ref"}:
                    below.append(str(value["$ref"]))
                else:
                    todo.extend(value.values())
            elif isinstance(value, list):
                todo.extend(value)
        return tuple(below)

    def batch(self, entry: Entry, said: dict[str, Any], known: set[str]) -> None:
        """The list behind a batch's root: as many as it says, and the same root; and the holds it names."""
        holds = entry.type == "holds.recorded"
        where = {"stream": entry.stream, "seq": entry.seq}
        sha256 = str(said["items"])
        if self._only is not None and sha256 not in self._pack.evidence:
            return
        if self._whole(sha256, f"the batch of {entry.stream} entry {entry.seq}", "items") is None:
            return
        items = json.loads(self._pack.object(sha256))
        counted = said["holds" if holds else "accepted"]
        if len(items) != counted:
            self._findings.add("count_wrong", f"it counts {counted}, its list has {len(items)}", **where)
        if batch_root(str(item[2]) for item in items) != said["merkle_root"]:
            self._findings.add("batch_root_wrong", "its list does not lead to the root that it says", **where)
        if holds:
            for decision, revision, proposal_hash in items:
                if self._only in (None, decision):
                    self._hold(entry, str(decision), revision, str(proposal_hash), known)

    def _hold(self, entry: Entry, decision: str, revision: int, proposal_hash: str, known: set[str]) -> None:
        found = self._json(proposal_hash, decision, "decision")
        if found is None:
            return
        if (found.get("decision_id"), found.get("revision")) != (decision, revision):
            self._findings.add("decision_misplaced", f"the hold that is listed as {decision} revision {revision} is "
                               f"{found.get('decision_id')} revision {found.get('revision')}", stream=entry.stream,
                               seq=entry.seq, decision=decision)  # fmt: skip
        digests = {name: str(found[f"{name}_digest"]) for name in ("inputs", "model", "policy")}
        self.decision(decision, entry.seq, entry.stream, digests, known)

    def long_part(self, entry: Entry, sha256: str) -> None:
        """A part of an entry that is kept apart."""
        self._whole(sha256, f"{entry.stream} entry {entry.seq}", "part of an entry")

    def finish(self) -> None:
        """Objects that no decision led to, and a finding for each that is missing or changed."""
        for sha256 in self._pack.evidence - self._standing.keys():
            self._whole(sha256, "", "object")
        for sha256, users in sorted(self._users.items()):
            named = sorted(name for name in users if name)
            code = "evidence_missing" if sha256 in self._missing else "evidence_changed"
            what = next(iter(users.values()))
            words = "is not in the pack" if code == "evidence_missing" else "is not the one that was recorded"
            rest = f" ({len(named)} rest on it: {', '.join(named[:5])})" if named else ""
            self._findings.add(code, f"{what} {sha256} {words}{rest}"[:600], object=sha256,
                               decision=named[0] if named else None)  # fmt: skip


# 11. Approvals and orders --------------------------------------------------------------------------------------------


class Signature(NamedTuple):
    """Somebody's yes."""

    actor: str
    meaning: str
    units: int | None
    complete: bool
    needed: int


class OrderLine(NamedTuple):
    """What the payload of an order says of one need."""

    need: str
    item: str
    units: int
    unit_cost: Decimal


class Placed(NamedTuple):
    """An order that the supplier said it has."""

    order: str
    number: str
    lines: dict[str, int]
    """Units by item."""


class Approvals:
    """The rule that nothing is ordered that nobody, or nobody's policy, agreed to: checked for every line sent."""

    def __init__(self, facts: Facts, sealed: Sealed, whole: bool, span: range, findings: Findings) -> None:
        self._facts, self._sealed, self._whole, self._span = facts, sealed, whole, span
        self._findings = findings
        self.lines = 0
        self.keys: set[str] = set()
        """Of every order in the pack."""
        self.placed: dict[str, Placed] = {}
        """By key."""
        self.prepared: dict[str, Placed] = {}
        """By key: every payload, also of orders to which the supplier's answer is not here."""

    def check(self) -> None:
        """Every chain of a decision and of an order."""
        for stream, steps in self._facts.steps.items():
            try:
                if stream.startswith("order:"):
                    self._order(stream, steps)
                else:
                    self._decision(stream, steps)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation) as error:
                self._findings.add("body_unreadable", f"its entries do not say what such entries say: "
                                   f"{type(error).__name__} {error}"[:200], stream=stream)  # fmt: skip

    def _decision(self, stream: str, steps: Sequence[Step]) -> None:
        closed: Step | None = None
        current: str | None = None
        for step in steps:
            where = {"stream": stream, "seq": step.seq, "decision": stream}
            if step.type == "decision.proposed":
                current = step.body["proposal_hash"]
            elif step.type in ("verdict.recorded", "verdict.signed", "decision.released"):
                if closed is not None:
                    self._findings.add("answered_after_close", f"the decision was {closed.body.get('state')} already",
                                       **where)  # fmt: skip
                if step.body["proposal_hash"] != current:
                    self._findings.add("approval_unbound", "it is not about the proposal that stood then", **where)
            elif step.type == "decision.closed":
                closed = step

    def _order(self, stream: str, steps: Sequence[Step]) -> None:
        lines: list[OrderLine] | None = None
        key, needed = "", self._whole
        for step in steps:
            where = {"stream": stream, "seq": step.seq}
            if step.type == "order.prepared":
                lines, key = self._payload(stream, step)
                index = self._sealed.index(stream, step.seq)
                needed = self._whole or (index is not None and index in self._span)
            elif step.type == "order.sent":
                if lines is None:
                    self._findings.add("order_unprepared", "it was sent, and nothing was prepared before", **where)
                for line in lines or ():
                    self._line(stream, step, line, needed)
            elif step.type == "order.answered" and step.body.get("answer") == "placed" and lines is not None:
                if step.body.get("lines_digest") != _lines_digest(lines):
                    self._findings.add("order_lines_wrong", "it was answered for other lines than were sent", **where)
                self.placed[key] = Placed(stream[6:], str(step.body.get("supplier_number")), _by_item(lines))

    def _payload(self, stream: str, step: Step) -> tuple[list[OrderLine], str]:
        where, order = {"stream": stream, "seq": step.seq}, step.body["order"]
        lines = [OrderLine(str(one["need_id"]), str(one["item"]), int(one["units"]), Decimal(one["unit_cost"]))
                 for one in order["lines"]]  # fmt: skip
        name, part = order["order_id"], int(order["order_id"].rpartition(":")[2])
        identity = [order["supplier"], order["location"], order["cycle"], part]
        if stream != f"order:{name}" or name != ":".join(map(str, identity)):
            self._findings.add("order_misplaced", f"it is the payload of order {name}", **where)
        key = sha256_hex(canonical(identity))
        if not key == order["key"] == step.body["key"]:
            self._findings.add("order_key_wrong", "its idempotency key is not that of its supplier, location, cycle "
                               "and part", **where)  # fmt: skip
        if step.body["lines_digest"] != _lines_digest(lines):
            self._findings.add("order_lines_wrong", "its digest is not that of its lines", **where)
        self.keys.add(key)
        self.prepared[key] = Placed(name, "", _by_item(lines))
        return lines, key

    def _line(self, stream: str, sent: Step, line: OrderLine, needed: bool) -> None:
        decision = self._facts.steps.get(line.need)
        if decision is None and not needed:
            return
        self.lines += 1
        why = "there is no such decision" if decision is None else self._refusal(stream, sent, line, decision, set())
        if why is None and decision is not None:
            # What a checkpoint shows to be younger than the sending was not there to be relied on.
            late = {step.seq for step in decision if step.type in AUTHORISING and step.recorded_at <= sent.recorded_at
                    and self._sealed.certified_later((line.need, step.seq), (stream, sent.seq))}  # fmt: skip
            why = self._refusal(stream, sent, line, decision, late) if late else None
            for seq in sorted(late) if why else ():
                self._findings.add("late_insert", "it says that it was recorded before the order was sent, and a "
                                   "checkpoint that has the sending has it not", stream=line.need, seq=seq,
                                   decision=line.need)  # fmt: skip
        if why:
            self._findings.add("line_unauthorised", f"{line.units} of {line.item} were sent to the supplier, and {why}",
                               stream=stream, seq=sent.seq, decision=line.need)  # fmt: skip

    def _refusal(
        self, stream: str, sent: Step, line: OrderLine, decision: Sequence[Step], late: set[int]
    ) -> str | None:
        """Why this line should not have been sent; None: it was right. What is `late` does not count."""
        before = [step for step in decision if step.recorded_at <= sent.recorded_at and step.seq not in late]
        releases = [step for step in before if step.type == "decision.released" and
                    f"order:{step.body.get('order')}" == stream]  # fmt: skip
        if not releases:
            return "its decision was not released to this order before"
        agreed = releases[-1].body["proposal_hash"]
        proposals = [one for one in self._facts.proposals.get(line.need, ()) if one.hash == agreed
                     and one.recorded_at <= sent.recorded_at and one.seq not in late]  # fmt: skip
        if not proposals:
            return "what it was released for was never proposed"
        proposal = proposals[-1]
        if proposal.supplier != stream[6:].split(":", 1)[0]:
            return f"the proposal was for {proposal.supplier}"
        if line.unit_cost != proposal.unit_cost:
            return f"the proposal was at {proposal.unit_cost} a unit"
        if any(step.type == "decision.closed" for step in before):
            return "its decision was closed before"
        if proposal.tier == "auto":
            return None if line.units == proposal.units else f"{proposal.units} were proposed"
        if proposal.tier != "review":
            return f"the proposal is {proposal.tier}"
        return _unapproved(line.units, proposal, _standing(before, agreed))


def _standing(steps: Sequence[Step], proposal_hash: str) -> list[Signature]:
    """The signatures for this proposal that nobody voided or took back."""
    found: dict[str, Signature] = {}
    for step in steps:
        body = step.body
        if step.type in ("verdict.recorded", "verdict.signed") and body["proposal_hash"] == proposal_hash:
            complete, needed = step.type == "verdict.recorded", body.get("signatures_needed", 1)
            found[body["command"]] = Signature(step.actor, body["meaning"], body.get("units"), complete, needed)
        elif step.type in ("approval.voided", "verdict.withdrawn"):
            found.pop(body["approval"], None)
    return list(found.values())


def _unapproved(units: int, proposal: Proposal, standing: Sequence[Signature]) -> str | None:
    complete = [one for one in standing if one.complete and one.meaning in ("approve", "approve_edited")]
    if not complete:
        return "no approval of its proposal stood then"
    last = complete[-1]
    agreed = proposal.units if last.meaning == "approve" else last.units
    if units != agreed:
        return f"{agreed} were approved"
    people = {
        unicodedata.normalize("NFKC", one.actor).casefold()
        for one in standing
        if (one.meaning, one.units) == (last.meaning, last.units)
    }
    if len(people) < last.needed:
        return f"{len(people)} people signed where {last.needed} must"
    return None


def _by_item(lines: Sequence[OrderLine]) -> dict[str, int]:
    units: Counter[str] = Counter()
    for line in lines:
        units[line.item] += line.units
    return dict(units)


def _lines_digest(lines: Sequence[OrderLine]) -> str:
    return sha256_hex(canonical(sorted([line.item, line.units] for line in lines)))


# 12. What the supplier and the writers say ---------------------------------------------------------------------------


def check_erp(path: Path, approvals: Approvals, whole: bool, findings: Findings) -> int:
    """The supplier's own list against what the ledger says it took. How many orders were compared."""
    theirs: dict[str, dict[str, Any]] = {}
    for row in lines_of(path):
        try:
            key, lines = str(row["key"]), Counter[str]()
            for line in row["lines"]:
                lines[str(line["item"])] += int(line["units"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unusable(f"{path.name}: a line is no order of an ERP export: {error}") from None
        if key in theirs:
            findings.add("erp_duplicate", f"the supplier has the order with key {key[:16]} twice: "
                         f"{theirs[key]['number']} and {row.get('number')}", object=key)  # fmt: skip
        theirs.setdefault(key, {"number": row.get("number"), "lines": lines})
    unanswered = {key: one for key, one in approvals.prepared.items() if key in theirs}
    for key, ours in (unanswered | approvals.placed).items():
        stream = f"order:{ours.order}"
        if key not in theirs:
            findings.add("erp_missing", f"the supplier has no order {ours.number}", stream=stream, object=key)
            continue
        there = theirs[key]
        if ours.number and str(there["number"]) != ours.number:
            findings.add("erp_number_differs", f"the supplier calls it {there['number']}, the ledger {ours.number}",
                         stream=stream, object=key)  # fmt: skip
        for item in sorted(ours.lines.keys() | there["lines"].keys()):
            we, they = ours.lines.get(item), there["lines"].get(item)
            if we != they:
                code = "erp_line_missing" if they is None else "erp_line_unknown" if we is None else None
                findings.add(code or "erp_quantity_changed", f"{item}: {we or 'nothing'} ordered, the supplier has "
                             f"{they or 'nothing'}", stream=stream, object=key)  # fmt: skip
    if whole:
        for key in theirs.keys() - approvals.keys:
            findings.add("erp_unknown", f"the supplier has an order {theirs[key]['number']} that the ledger does not "
                         "know", object=key)  # fmt: skip
    return len(approvals.placed)


def check_acknowledged(path: Path, hashes: dict[tuple[str, int], str], findings: Findings) -> int:
    """Every append that a writer was told had succeeded is there. How many were compared."""
    count = 0
    for row in lines_of(path):
        try:
            stream, seq, own = (row["stream"], row["seq"], row["hash"]) if isinstance(row, dict) else row
        except (KeyError, ValueError, TypeError) as error:
            raise Unusable(f"{path.name}: a line is not stream, seq, hash: {error}") from None
        count += 1
        found = hashes.get((stream, seq))
        if found is None:
            findings.add("acknowledged_lost", "a writer was told that it is stored; it is not", stream=stream, seq=seq)
        elif found != own:
            findings.add("acknowledged_changed", "a writer was told another hash", stream=stream, seq=seq)
    return count


# 13. The whole check -------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """What is checked, and what it is checked against."""

    pack: Path
    anchors: Sequence[Path] = ()
    keys: Sequence[str] = ()
    erp: Path | None = None
    acknowledged: Path | None = None
    longest_transaction: float = 600.0
    requested: float | None = None
    known_losses: Sequence[str] = ()


@dataclass
class Scope:
    """What the pack says it holds."""

    kind: str
    decision: str | None
    whole: frozenset[str]
    size: int
    first: int
    end: int
    since: str | None
    until: str | None
    made_at: str
    models: bool

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> "Scope":
        """Raises: Unusable."""
        if manifest.get("format") != FORMAT:
            raise Unusable(f"the pack's format is {str(manifest.get('format'))[:60]!r}; this verifier reads {FORMAT}")
        try:
            scope, leaves = manifest["scope"], manifest["leaves"]
            if scope["kind"] not in ("everything", "period", "decision"):
                raise ValueError(f"scope {scope['kind']!r}")
            moment(manifest["made_at"])
            return cls(scope["kind"], scope.get("decision"), frozenset(scope.get("whole", ())),
                       int(leaves["size"]), int(leaves["first"]),
                       int(leaves["end"]), scope.get("since"), scope.get("until"), manifest["made_at"],
                       bool(manifest["models"]))  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise Unusable(f"manifest.json: {type(error).__name__}: {error}") from None

    def must_be_whole(self, stream: str, entries: Sequence[Entry]) -> bool:
        """Whether all of this chain has to be in the pack."""
        if self.kind == "everything":
            return True
        if self.kind == "decision":
            return stream in self.whole
        return any(entry.type.startswith(("decision.", "verdict.", "order.")) for entry in entries)


def trusted_keys(asked: Asked, anchors: Anchors, rotations: Sequence[Rotation], findings: Findings) -> list[Key]:
    """Whom to believe: the keys that were given, else the anchors' first, else, weakly, the pack's own first."""
    every = [*anchors.rotations, *rotations]
    try:
        given = [Key.parse(text) for text in asked.keys]
    except ValueError as error:
        raise Unusable(f"--key: {error}") from None
    if given:
        return vouched_for(given, every)
    if anchors.rotations:
        return vouched_for([anchors.rotations[0].key], every)
    own = sorted(rotations, key=lambda one: one.first_checkpoint)[:1]
    if own:
        findings.note("signatures were checked with the key that the pack itself brings: give --key or --anchor, else "
                      "whoever made the pack may have signed it all anew")  # fmt: skip
    return vouched_for([one.key for one in own], every)


def read_rotations(pack: Pack) -> list[Rotation]:
    """Raises: Unusable."""
    try:
        return [Rotation.parse(row) for row in pack.lines("ledger/keys.jsonl")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unusable(f"ledger/keys.jsonl: {type(error).__name__}: {error}") from None


def read_proofs(
    pack: Pack, newest: Checkpoint | None, sealed: Sealed, findings: Findings
) -> dict[tuple[str, int], str]:
    """Entries whose path leads to the newest signed root (packs of one decision), and their places."""
    proven: dict[tuple[str, int], str] = {}
    for row in pack.lines("ledger/proofs.jsonl"):
        try:
            path = [bytes.fromhex(one) for one in row["path"]]
            root = root_by_inclusion(leaf_hash(row["hash"]), int(row["index"]), int(row["size"]), path)
            where = {"stream": str(row["stream"]), "seq": int(row["seq"])}
            if newest is None or (row["size"], root) != (newest.size, newest.root):
                findings.add("inclusion_wrong", "its path does not lead to the root of the newest signed checkpoint",
                             **where)  # fmt: skip
            proven[row["stream"], row["seq"]] = row["hash"]
            sealed.places[row["stream"], row["seq"]] = row["index"]
        except (ValueError, TypeError, KeyError) as error:
            raise Unusable(f"ledger/proofs.jsonl: {type(error).__name__}: {error}") from None
    return proven


def check_whole(
    scope: Scope, decision: str, facts: Facts, present: dict[str, set[int]], findings: Findings
) -> None:  # fmt: skip
    """That the pack says of the chains that matter that they are whole: only then gaps in them are looked for."""
    released = {f"order:{step.body.get('order')}" for step in facts.steps.get(decision, ())
                if step.type == "decision.released"}  # fmt: skip
    for stream in ({decision} & present.keys() | released) - scope.whole:
        findings.add("chain_missing", "the pack does not say that all of this chain is in it, which a pack of this "
                     "decision has to", stream=stream)  # fmt: skip


def check_period(scope: Scope, sealed: Sealed, present: dict[str, set[int]], findings: Findings) -> None:
    """That the pack's part of the tree covers the period, and that all of that part is there."""
    for index in range(scope.first, min(scope.end, len(sealed.hashes))):
        stream, seq = sealed.streams[index], sealed.seqs[index]
        if seq not in present.get(stream, ()):
            findings.add("leaf_without_entry", "it belongs to the period and the pack has it not",
                         stream=stream, seq=seq)  # fmt: skip
    try:
        since = moment(scope.since) if scope.since else None
        until = moment(scope.until) if scope.until else None
    except ValueError as error:
        raise Unusable(f"manifest.json: {error}") from None
    before = max((one.size for one in sealed.checkpoints if since is not None and one.ledger_at < since), default=0)
    after = min((one.size for one in sealed.checkpoints if until is not None and one.ledger_at >= until),
                default=len(sealed.hashes))  # fmt: skip
    if scope.first > before or scope.end < after:
        findings.add("period_incomplete", f"the period needs leaves {before} to {after}, the pack has {scope.first} to "
                     f"{scope.end}")  # fmt: skip


def verify(asked: Asked) -> dict[str, Any]:
    """Everything; the report as JSON has it. Raises: Unusable, and what reading broken files raises."""
    started, findings = time.perf_counter(), Findings()
    pack = Pack(asked.pack)
    manifest = pack.document("manifest.json")
    scope = Scope.of(manifest)
    with_tree = scope.kind != "decision"
    made_at = moment(scope.made_at)
    if asked.requested is not None and made_at < asked.requested:
        findings.add("pack_outdated", f"it was made at {utc(made_at)}, before it was asked for: what was written since "
                     "is not in it")  # fmt: skip
    if not scope.models:
        findings.note("whoever asked for the pack left the models out: that they are what decided is not checked")
    anchors = Anchors()
    for path in asked.anchors:
        anchors.read(path, findings)
    rotations = read_rotations(pack)
    keys = trusted_keys(asked, anchors, rotations, findings)
    losses = losses_of([*anchors.rotations, *rotations], keys, findings)
    anchors.settle(losses, asked.known_losses, findings)
    anchored_roots = anchors.check(keys, findings)
    numbered = read_checkpoints(pack, findings)
    check_clocks(numbered, findings)
    sealed = Sealed(checkpoints=check_signatures(numbered, [*anchors.rotations, *rotations], keys, losses, findings))
    anchored, known = anchored_then(sealed, anchors, keys, made_at, findings)
    if not numbered:
        findings.note("there is no checkpoint: nothing proves that the ledger was not written anew as a whole")
        if asked.keys or len(anchored) > 1:
            findings.add("checkpoint_missing", "a notary signs this ledger, and the pack has no checkpoint")
    if not asked.anchors:
        findings.note("no anchor was given: that the newest entries were removed, or that all was signed anew, can be "
                      "seen only with one")  # fmt: skip
    if with_tree:
        sealed.read_leaves(pack, findings)
        check_tree(sealed, anchored, known, findings)
        check_heartbeat(sealed, anchored, anchors, findings)
    sealed.date_by(() if sealed.history_is_another else anchored, known)
    span = range(scope.first, scope.end) if with_tree else range(0)

    naming = Naming(known, sealed, findings, span)
    facts = Facts(pack, findings)
    check = ChainCheck(sealed, with_tree, asked.longest_transaction, facts, findings)
    if not with_tree:
        newest = sealed.checkpoints[-1] if sealed.checkpoints else None
        check.proofs = read_proofs(pack, newest, sealed, findings)
        # The very newest may be one that a crash of the notary kept from the database until it starts again.
        before = sorted(one.size for one in anchored)[:-1]
        if before and (newest is None or newest.size < before[-1]):
            findings.add("tree_short", f"it proves by a checkpoint of size {newest.size if newest else 0}, and when it "
                         f"was made there was one of {before[-1]}")  # fmt: skip
        if newest is not None and newest.root != anchored_roots.get(newest.size, newest.root):
            findings.add("forked", f"the signed checkpoint of size {newest.size} and the anchored one have other roots")
        if newest is not None and scope.size < newest.size:
            findings.add(
                "tree_short", f"the newest signed checkpoint has {newest.size} leaves, the ledger {scope.size}"
            )
    hashes: dict[tuple[str, int], str] = {}
    present: dict[str, set[int]] = {}
    for stream, entries in chains(pack):
        whole = scope.must_be_whole(stream, entries)
        check.check(stream, entries, whole)
        naming.compare(stream, entries, whole)
        present[stream] = {entry.seq for entry in entries}
        if asked.acknowledged is not None:
            hashes.update({(stream, entry.seq): entry.hash for entry in entries})
    if scope.decision is not None:
        check_whole(scope, scope.decision, facts, present, findings)
    naming.absent(_expected_streams(scope, known))
    naming.changed()
    for stream in (sealed.index_of.keys() if scope.kind == "everything" else scope.whole) - present.keys():
        findings.add("chain_missing", "the pack should have this chain, and has none of it", stream=stream)
    if scope.kind == "period":
        check_period(scope, sealed, present, findings)

    evidence = Evidence(pack, findings, models=scope.models, only=scope.decision)
    for decision, seq, digests in facts.rests_on:
        evidence.decision(decision, seq, decision, digests, facts.policies)
    for entry, said in facts.batches:
        if with_tree or entry.type == "holds.recorded":
            evidence.batch(entry, said, facts.policies)
    for entry, sha256 in facts.long_parts:
        evidence.long_part(entry, sha256)
    evidence.finish()
    if scope.decision is not None and not evidence.decisions:
        findings.add("decision_missing", "the pack has no such decision", decision=scope.decision)
    approvals = Approvals(facts, sealed, scope.kind == "everything", span, findings)
    approvals.check()
    compared = {
        "erp_orders": check_erp(asked.erp, approvals, scope.kind == "everything", findings) if asked.erp else None,
        "acknowledged": check_acknowledged(asked.acknowledged, hashes, findings) if asked.acknowledged else None,
    }
    if check.unsealed:
        findings.note(f"{check.unsealed:,} entries are newer than the newest checkpoint: nothing but their chains "
                      "speaks for them yet")  # fmt: skip
    if evidence.older:
        findings.note(f"{evidence.older:,} decisions are from a release that kept inputs, and no snapshot of what was "
                      "scored")  # fmt: skip
    seconds = time.perf_counter() - started
    newest = sealed.checkpoints[-1] if sealed.checkpoints else None
    return {
        "format": "quartermaster-verification-1",
        "ok": not findings.found,
        "pack": {"sha256": _file_digest(asked.pack), "made_at": scope.made_at, "made_by": manifest.get("made_by"),
                 "scope": manifest["scope"]},
        "checked": {
            "entries": check.entries, "chains": check.streams, "leaves": len(sealed.hashes),
            "checkpoints": len(numbered), "anchor_files": anchors.files, "anchored_leaves": len(anchors.leaves),
            "anchored_checkpoints": len(anchors.checkpoints), "decisions": evidence.decisions,
            "evidence_objects": evidence.objects, "order_lines_sent": approvals.lines, **compared,
        },
        "newest_checkpoint": {"size": newest.size, "root": newest.root, "note": newest.note} if newest else None,
        "keys": [key.text for key in keys],
        "tampering": sorted({one.code for one in findings.found if one.tampering}),
        "counts": dict(sorted(findings.counted.items())),
        "findings": [asdict(one) | {"tampering": one.tampering} for one in findings.found],
        "notes": findings.notes,
        "seconds": round(seconds, 3),
        "entries_per_s": round(check.entries / seconds) if seconds else None,
    }  # fmt: skip


def _expected_streams(scope: Scope, known: dict[int, Leaf]) -> set[str] | None:
    """Chains of which something should be in the pack; None: all."""
    if scope.kind == "everything":
        return None
    if scope.kind == "decision":
        return {*scope.whole, str(scope.decision)}
    return {known[index].stream for index in range(scope.first, scope.end) if index in known}


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# 14. The report ------------------------------------------------------------------------------------------------------


def printable(text: object) -> str:
    """What a terminal may show of somebody else's text."""
    return "".join(one if one.isprintable() else "?" for one in str(text))


def words_of(report: dict[str, Any]) -> Iterator[str]:
    """The report for a reader."""
    checked, pack = report["checked"], report["pack"]
    yield f"Pack {pack['sha256']}"
    yield f"  made {pack['made_at']} by {pack['made_by']}, scope {json.dumps(pack['scope'])[:300]}"
    yield (f"  {checked['entries']:,} entries in {checked['chains']:,} chains, {checked['leaves']:,} leaves, "
           f"{checked['checkpoints']:,} checkpoints, {checked['decisions']:,} decisions, "
           f"{checked['evidence_objects']:,} objects of evidence, "
           f"{checked['order_lines_sent']:,} order lines sent")  # fmt: skip
    yield (f"  against {checked['anchored_leaves']:,} anchored leaves and {checked['anchored_checkpoints']:,} anchored "
           f"checkpoints; ERP orders: {_or_none(checked['erp_orders'])}; acknowledged: "
           f"{_or_none(checked['acknowledged'])}")  # fmt: skip
    if report["newest_checkpoint"]:
        yield (
            f"  newest checkpoint: {report['newest_checkpoint']['size']:,} entries, root "
            + (report["newest_checkpoint"]["root"])
        )
    yield f"  in {report['seconds']} s, {report['entries_per_s'] or 0:,} entries/s"
    if report["tampering"]:
        yield "What was done:"
        for code in report["tampering"]:
            yield f"  {code}: {TAMPERING[code]}"
    if report["findings"]:
        yield f"Findings ({sum(report['counts'].values()):,}):"
        for one in sorted(report["findings"], key=lambda one: not one["tampering"]):
            place = f"{one['stream']} entry {one['seq']}" if one["seq"] is not None else one["stream"]
            about = ", ".join(str(part) for part in (place, one["decision"] and f"decision {one['decision']}") if part)
            yield f"  {one['code']}{f' ({about})' if about else ''}: {one['meaning']}"
        for code, count in report["counts"].items():
            if count > MOST_PER_CODE:
                yield f"  {code}: {count - MOST_PER_CODE:,} more"
    for note in report["notes"]:
        yield f"Note: {note}"
    yield "CLEAN: all that was checked is as it was written" if report["ok"] else "NOT CLEAN"


def _or_none(count: int | None) -> str:
    return "not given" if count is None else f"{count:,}"


def main(arguments: Sequence[str]) -> int:
    """Check, report, and give the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Check an evidence pack offline.")
    parser.add_argument("pack", type=Path, help="the zip that `quartermaster audit pack` wrote")
    parser.add_argument("--anchor", type=Path, action="append", default=[], metavar="FILE_OR_FOLDER",
                        help="what the notary left elsewhere")  # fmt: skip
    parser.add_argument("--key", action="append", default=[], metavar="VERIFIER_KEY",
                        help="the notary's key, as you know it from elsewhere")  # fmt: skip
    parser.add_argument("--erp", type=Path, metavar="FILE", help="the supplier's orders, JSON lines")
    parser.add_argument("--acknowledged", type=Path, metavar="FILE", help="what writers were told is stored")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here too; - is standard output")
    parser.add_argument("--requested", metavar="INSTANT",
                        help="when you asked for the pack (RFC 3339); one made before is a finding")  # fmt: skip
    parser.add_argument("--known-loss", action="append", default=[], metavar="LOG",
                        help="a log that began after a loss which you know of and accept")  # fmt: skip
    parser.add_argument("--longest-transaction", type=float, default=600.0, metavar="SECONDS",
                        help="how much older than a checkpoint without it an entry may be (default 600)")  # fmt: skip
    told = parser.parse_args(arguments)
    try:
        requested = moment(told.requested) if told.requested else None
        asked = Asked(told.pack, told.anchor, told.key, told.erp, told.acknowledged, told.longest_transaction,
                      requested, told.known_loss)  # fmt: skip
        report = verify(asked)
        document = json.dumps(report, indent=2, ensure_ascii=True)
        if told.json == Path("-"):
            print(document)
        else:
            for line in words_of(report):
                print(printable(line))
            if told.json is not None:
                told.json.write_text(document + "\n")
    except (
        Unusable, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError,
        NotImplementedError, RuntimeError, struct.error, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
    ) as error:  # fmt: skip
        words = str(error) if isinstance(error, Unusable) else f"{type(error).__name__}: {error}"
        print(f"UNUSABLE: {printable(words)[:500]}", file=sys.stderr)
        return 2
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
