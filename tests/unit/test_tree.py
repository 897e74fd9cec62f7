"""The tree is that of RFC 9162: its roots are the published ones, every proof holds, and nothing else does."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.domain.tree import (
    EMPTY_ROOT,
    Frontier,
    Place,
    Span,
    consistency_spans,
    inclusion_spans,
    is_consistent,
    is_included,
    leaf_hash,
    places,
    root_of,
    root_over,
)

# The reference leaves and roots that implementations of RFC 6962 (which 9162 keeps) test themselves against.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, by its definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(naive_root(leaves[:split]), naive_root(leaves[split:]))


def naive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, by its definition."""
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_proof(old: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 9162, by its definition."""
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= split:
        return [*naive_proof(old, leaves[:split], whole), naive_root(leaves[split:])]
    return [*naive_proof(old - split, leaves[split:], False), naive_root(leaves[:split])]


def made(size: int) -> list[bytes]:
    """So many leaf hashes."""
    return [leaf_hash(str(number).encode()) for number in range(size)]


def kept(leaves: Sequence[bytes]) -> dict[Place, bytes]:
    """What a store has: the leaves, and each whole subtree of a level as it was completed."""
    store: dict[Place, bytes] = {(0, index): leaf for index, leaf in enumerate(leaves)}
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf, store.__setitem__)
    return store


def proof(spans: Sequence[Span], store: dict[Place, bytes]) -> list[bytes]:
    """The roots of these spans, from no more than what `places` asks for."""
    read = {
        (level, at): store[level, at]
        for level, ranges in places(spans).items()
        for first, end in ranges
        for at in range(first, end)
    }
    return [root_over(span, read) for span in spans]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert root_of(map(leaf_hash, LEAVES[:size])).hex() == ROOTS[size - 1]


def test_the_empty_log_has_the_root_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_a_published_proof_is_made_and_holds() -> None:
    # RFC 9162, 2.1.5: the proof of d3 in a log of 7 is [c, g, l]; that of 3 to 7 is [c, d, g, l].
    leaves = made(7)
    c, d, g = leaves[2], leaves[3], node(leaves[0], leaves[1])
    k, m = node(node(leaves[4], leaves[5]), leaves[6]), node(g, node(c, d))
    store = kept(leaves)
    assert proof(inclusion_spans(3, 7), store) == [c, g, k]
    assert proof(consistency_spans(3, 7), store) == [c, d, g, k]
    assert root_of(leaves) == node(m, k)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.data())
def test_an_inclusion_proof_is_the_defined_one_and_holds_for_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = made(size)
    index = data.draw(st.integers(0, size - 1))
    path, root = proof(inclusion_spans(index, size), kept(leaves)), naive_root(leaves)
    assert path == naive_path(index, leaves)
    assert is_included(leaves[index], index, size, path, root)
    assert not is_included(leaf_hash(b"another"), index, size, path, root)
    assert not is_included(leaves[index], index, size, [*path, root], root)
    assert not is_included(leaves[index], index, size, path, leaf_hash(b"another"))
    assert not is_included(leaves[index], size, size, path, root)
    if path:
        elsewhere = data.draw(st.integers(0, size - 1).filter(lambda other: other != index))
        assert not is_included(leaves[index], elsewhere, size, path, root)
        at = data.draw(st.integers(0, len(path) - 1))
        assert not is_included(leaves[index], index, size, [*path[:at], *path[at + 1 :]], root)
        assert not is_included(leaves[index], index, size, [*path[:at], leaf_hash(b"x"), *path[at + 1 :]], root)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 700), st.data())
def test_a_consistency_proof_is_the_defined_one_and_holds_for_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = made(size)
    old = data.draw(st.integers(1, size))
    path = proof(consistency_spans(old, size), kept(leaves))
    before, after = naive_root(leaves[:old]), naive_root(leaves)
    assert path == naive_proof(old, leaves)
    assert is_consistent(old, size, before, after, path)
    assert not is_consistent(old, size, leaf_hash(b"another"), after, path)
    assert not is_consistent(old, size, before, leaf_hash(b"another"), path)
    assert not is_consistent(old, size, before, after, [*path, after])
    assert not is_consistent(size + 1, size, before, after, path)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert not is_consistent(old, size, before, after, [*path[:at], leaf_hash(b"x"), *path[at + 1 :]])
        assert not is_consistent(old, size, before, after, path[:-1])
    changed = data.draw(st.integers(0, old - 1))
    forged = [*leaves[:changed], leaf_hash(b"forged"), *leaves[changed + 1 :]]
    if old < size:
        other = proof(consistency_spans(old, size), kept(forged))
        assert not is_consistent(old, size, before, naive_root(forged), other)


def test_every_log_goes_on_from_the_empty_one() -> None:
    assert is_consistent(0, 5, EMPTY_ROOT, naive_root(made(5)), [])
    assert not is_consistent(0, 5, leaf_hash(b"x"), naive_root(made(5)), [])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 600), st.integers(0, 600))
def test_a_log_goes_on_from_its_frontier_as_if_it_had_never_stopped(first: int, more: int) -> None:
    leaves = made(first + more)
    begun = Frontier()
    for leaf in leaves[:first]:
        begun.append(leaf)
    again = Frontier(begun.size, begun.roots)
    for leaf in leaves[first:]:
        again.append(leaf)
    assert again.root() == naive_root(leaves)
    assert len(again.roots) == len(leaves).bit_count()


@pytest.mark.parametrize(("size", "roots"), [(3, [b"x" * 32]), (-1, []), (1, [b"short"]), (0, [b"x" * 32])])
def test_a_frontier_that_cannot_be_is_refused(size: int, roots: list[bytes]) -> None:
    with pytest.raises(ValueError, match="perfect subtrees"):
        Frontier(size, roots)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_what_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        inclusion_spans(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5)])
def test_no_proof_leads_back(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no proof leads"):
        consistency_spans(old, new)


def test_a_proof_in_a_large_log_reads_little() -> None:
    size = 10_000_019
    for spans in (inclusion_spans(4_999_999, size), consistency_spans(7_654_321, size)):
        assert sum(end - first for ranges in places(spans).values() for first, end in ranges) < 2_500
