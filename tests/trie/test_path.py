from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trie.header import Header
from trie.path import NEVER, Paths, digit, levels, parting, word_of

PATHS = {
    "hash": Paths(Header()),
    "two bits": Paths(Header(hash_bits=2)),
    "key": Paths(Header(order="key")),
}
KEYS = st.one_of(
    st.binary(max_size=6),
    st.lists(st.sampled_from([b"", b"a", b"b", b"\x00", b"\xff"])).map(b"/".join),
    st.binary(min_size=120, max_size=140).map(lambda tail: b"x" * 130 + tail),
)


def slow_parting(one: bytes, other: bytes) -> int:
    size = max(len(one), len(other))
    one, other = one.ljust(size, b"\0"), other.ljust(size, b"\0")
    for level in range(2 * size):
        if digit(one, level) != digit(other, level):
            return level
    return NEVER


@pytest.mark.parametrize("paths", PATHS.values(), ids=PATHS)
@given(one=KEYS, other=KEYS)
def test_paths_of_two_keys_part(paths: Paths, one: bytes, other: bytes) -> None:
    here, there = paths.path(one), paths.path(other)
    level = parting(here, word_of(here), there, word_of(there))
    assert level == slow_parting(here, there)
    if one == other:
        assert level == NEVER
    else:
        assert level < min(levels(here), levels(there))


@given(one=KEYS, other=KEYS)
def test_paths_in_key_order_sort_as_keys_do(one: bytes, other: bytes) -> None:
    paths = PATHS["key"]
    assert (paths.path(one) < paths.path(other)) == (one < other)
    assert (paths.path(one) < paths.bound(other)) == (one < other)


@pytest.mark.parametrize("paths", PATHS.values(), ids=PATHS)
@given(key=KEYS, prefix=KEYS, slash=st.booleans())
def test_a_prefix_is_one_or_two_subtrees(
    paths: Paths, key: bytes, prefix: bytes, slash: bool
) -> None:
    if slash:
        prefix += b"/"
    if not prefix:
        expected = True
    elif prefix.endswith(b"/"):
        expected = key.startswith(prefix)
    else:
        expected = key == prefix or key.startswith(prefix + b"/")
    subtrees = paths.subtrees(prefix)
    path = paths.path(key)
    assert sum(path.startswith(subtree) for subtree in subtrees) == expected
    assert subtrees == sorted(subtrees)


def test_a_hash_of_few_bits_makes_components_collide() -> None:
    path = PATHS["two bits"].path
    hashes = {path(b"%d" % number)[1:9] for number in range(100)}
    assert len(hashes) == 4
    assert len({path(b"%d" % number) for number in range(100)}) == 100


def test_the_hash_key_moves_all_keys() -> None:
    other = Paths(Header(hash_key=b"k" * 32))
    assert other.path(b"a") != PATHS["hash"].path(b"a")
    assert other.path(b"a").endswith(b"a/\x00")
