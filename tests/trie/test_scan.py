from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import Store
from trie import Trie
from trie.nodes import Nodes
from trie.scan import Bounds, scan

KEYS = st.lists(st.text(alphabet="ab\x00/ÿ", max_size=4), unique=True, max_size=20)


@given(keys=KEYS, low=st.binary(max_size=4), high=st.none() | st.binary(max_size=4))
@pytest.mark.parametrize("order", ["hash", "key"])
def test_bounds_cut_as_a_comparison_of_paths_does(
    order: str, keys: list[str], low: bytes, high: bytes | None
) -> None:
    with Store.memory() as store:
        feed = store.feed("a")
        trie = Trie(feed, order="key" if order == "key" else "hash")
        with trie.batch() as batch:
            for key in keys:
                batch[key] = b""
        if not keys:
            return
        nodes = Nodes(feed)
        root = nodes.load(feed.length - 1)
        paths = sorted(nodes.paths.path(key.encode()) for key in keys)
        size = max(map(len, paths)) + 8

        def padded(path: bytes) -> bytes:
            return path.ljust(size, b"\0")

        expected = [
            path
            for path in paths
            if padded(path) >= padded(low) and (high is None or padded(path) < padded(high))
        ]
        bounds = Bounds(low, high)
        assert [node.path for node in scan(nodes, root, bounds=bounds)] == expected
        backwards = scan(nodes, root, bounds=bounds, reverse=True)
        assert [node.path for node in backwards] == expected[::-1]
        assert [node.path for node in scan(nodes, root)] == paths


def test_bounds_keep_a_scan_from_reading_what_lies_outside(store: Store) -> None:
    feed = store.feed("a")
    trie = Trie(feed, order="key")
    with trie.batch() as batch:
        for number in range(2000):
            batch[f"{number:04}"] = b""
    read = trie.range("1000", "1003").walk()
    assert len(read) < 20
    assert [key for key, _ in trie.range("1000", "1003")] == ["1000", "1001", "1002"]
