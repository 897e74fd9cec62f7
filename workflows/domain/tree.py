"""The tree: a Merkle log after RFC 9162, section 2.1, whose proofs need a handful of rows however large it is.

A leaf is SHA-256(0x00 || data), a node SHA-256(0x01 || left || right). Whoever appends keeps a frontier: the roots of
the perfect subtrees that the log consists of, at most one for each bit of its size. Whoever proves reads leaves, and
the roots of whole subtrees of 256, 256^2, ... leaves ("levels"), which are kept as they are completed.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from workflows.domain.identity import Digest

EMPTY_ROOT = hashlib.sha256(b"").digest()
STEP = 8
"""Levels are so many heights apart: one kept root stands for 2^8 of the level below."""

Span = tuple[int, int]
"""Leaves [first, end) whose subtree's root is wanted."""
Place = tuple[int, int]
"""(level, index): the root over leaves [index * 256^level, (index + 1) * 256^level); level 0 is the leaves."""


def leaf_hash(data: bytes) -> bytes:
    """What stands in the tree for this data (32 bytes)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The root over two subtrees (32 bytes)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold_roots(roots: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that stand side by side, the largest on the left; of none: SHA-256 of nothing."""
    if not roots:
        return EMPTY_ROOT
    folded = roots[-1]
    for root in reversed(roots[:-1]):
        folded = node_hash(root, folded)
    return folded


class Frontier:
    """A log's size and the roots of its perfect subtrees, left to right: all that appending needs."""

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        """Go on from a known frontier.

        Raises:
            ValueError: so many roots do not make a log of this size.
        """
        self.size, self.roots = size, list(roots)
        if size < 0 or len(self.roots) != size.bit_count() or any(len(root) != 32 for root in self.roots):
            raise ValueError(f"a log of {size} leaves has not {len(self.roots)} perfect subtrees of 32 bytes each")

    def append(self, leaf: bytes, completed: Callable[[Place, bytes], None] | None = None) -> None:
        """Add a leaf (its hash). `completed` is told of each whole subtree of a level above 0 that it completes."""
        root, at, height = leaf, self.size, 0
        while at & 1:
            root = node_hash(self.roots.pop(), root)
            at >>= 1
            height += 1
            if completed is not None and height % STEP == 0:
                completed((height // STEP, at), root)
        self.roots.append(root)
        self.size += 1

    def root(self) -> bytes:
        """The log's root as it is now."""
        return fold_roots(self.roots)

    def copy(self) -> "Frontier":
        """Another one at the same place."""
        return Frontier(self.size, self.roots)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The subtrees whose roots prove that the leaf at `index` is in a log of this size, lowest first (2.1.3.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a log of {size} leaves has no leaf {index}")
    spans: list[Span] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((first, middle))
            first = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The subtrees whose roots prove that a log of `new` leaves begins with the one of `old`, lowest first (2.1.4.1).

    Raises:
        ValueError: the old log is empty (nothing needs a proof) or larger than the new one.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof leads from {old} leaves to {new}")
    spans: list[Span] = []
    first, end = 0, new
    while end != old:
        middle = first + _split(end - first)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((first, middle))
            first = middle
    if first:
        spans.append((first, end))
    return spans[::-1]


def perfect_subtrees(span: Span) -> list[Place]:
    """The perfect subtrees (height, index) that a span consists of, left to right; it begins where a subtree does."""
    first, end = span
    found = []
    while first < end:
        height = (end - first).bit_length() - 1
        found.append((height, first >> height))
        first += 1 << height
    return found


def places(spans: Iterable[Span]) -> dict[int, list[Span]]:
    """What to read for these spans' roots: for each level, ranges [first, end) of indexes; at most 128 in each."""
    wanted: dict[int, list[Span]] = {}
    for span in spans:
        for height, index in perfect_subtrees(span):
            level, rest = divmod(height, STEP)
            wanted.setdefault(level, []).append((index << rest, (index + 1) << rest))
    return wanted


def root_over(span: Span, kept: Mapping[Place, bytes]) -> bytes:
    """The root of a span from what `places` asked for.

    Raises:
        KeyError: something of it is missing.
    """
    roots = []
    for height, index in perfect_subtrees(span):
        level, rest = divmod(height, STEP)
        row = [kept[level, at] for at in range(index << rest, (index + 1) << rest)]
        while len(row) > 1:
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        roots.append(row[0])
    return fold_roots(roots)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows this leaf hash at `index` of the log with this size and root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, computed = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            computed = node_hash(other, computed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, other)
        at, last = at >> 1, last >> 1
    return last == 0 and computed == root


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the log of `new` leaves begins with the one of `old` (2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_side = new_side = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_side, new_side = node_hash(other, old_side), node_hash(other, new_side)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_side = node_hash(new_side, other)
        at, last = at >> 1, last >> 1
    return last == 0 and old_side == old_root and new_side == new_root


def entry_leaf(entry_hash: Digest) -> bytes:
    """The leaf of a ledger entry: over the 32 raw bytes of its chain hash."""
    return leaf_hash(bytes.fromhex(entry_hash))


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1
