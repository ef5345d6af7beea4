"""What the merge writes; test_model.py says that it is right."""

from __future__ import annotations

import pytest

from feedlog import Store
from trie import Trie, node
from trie.nodes import Nodes


def reachable(trie: Trie) -> int:
    return len(trie.keys().walk(limit=1 << 20)) - 1


def test_a_put_costs_a_block_of_logarithmic_size(trie: Trie) -> None:
    if trie.header.hash_bits < 64:
        return  # colliding keys share long paths
    sizes = []
    for number in range(2000):
        trie[f"{number:05}"] = b""
        if number in (499, 1999):
            sizes.append(len(trie.feed[trie.version - 1]))
    assert sizes[1] < sizes[0] * 2
    assert sizes[1] < 200


def test_a_delete_leaves_nothing_to_walk_through(trie: Trie) -> None:
    for number in range(200):
        trie[f"{number}"] = b""
    for number in range(199):
        del trie[f"{number}"]
    trie["last"] = b""
    assert sorted(trie) == ["199", "last"]
    assert reachable(trie) <= 3
    del trie["199"]
    del trie["last"]
    assert reachable(trie) == 1
    assert len(trie.feed[trie.version - 1]) < 20


def test_nodes_inside_a_batch_have_only_the_rows_that_are_read(store: Store) -> None:
    one_by_one, at_once = Trie(store.feed("a")), Trie(store.feed("b"))
    entries = {f"{number}": b"" for number in range(1000)}
    for key, value in entries.items():
        one_by_one[key] = value
    at_once.update(entries)
    assert at_once.feed.byte_length * 3 < one_by_one.feed.byte_length
    nodes = Nodes(at_once.feed)
    rows = [len(nodes.load(index).rows) for index in range(1, 1001)]
    assert sum(rows) < 1000


def test_thousands_of_nested_keys_need_no_recursion(trie: Trie) -> None:
    keys = ["a" * size for size in range(1, 1500)]
    trie.update(dict.fromkeys(keys, b""))
    assert sorted(trie) == keys
    trie[keys[700]] = b"1"
    del trie[keys[-1]]
    assert trie[keys[700]] == b"1"
    assert len(trie) == len(keys) - 1
    assert len(list(trie.diff(1500))) == 2
    nested = trie.sub("nested")
    nested.update({"/".join("b" * size): b"" for size in range(1, 300)})
    assert len(nested) == len(list(nested)) == 299


def test_a_lookup_in_a_batch_halves_the_keys_with_each_block(store: Store) -> None:
    """However the keys are spread: here a third of them is one chain, and most have one head."""
    trie = Trie(store.feed("a"), order="key")
    keys = ["c" * size for size in range(1, 200)]
    keys += [f"head/{number:03}" for number in range(300)] + [f"{number}" for number in range(100)]
    trie.update(dict.fromkeys(keys, b""))
    for key in keys:
        assert len(trie.walk(key)) - 1 <= len(keys).bit_length()


def test_any_number_of_keys_may_collide(store: Store) -> None:
    trie = Trie(store.feed("a"), hash_bits=1)
    model = {}
    for number in range(300):
        trie[f"{number}"] = model[f"{number}"] = b"%d" % number
    for number in range(0, 300, 3):
        del trie[f"{number}"]
        del model[f"{number}"]
    assert dict(trie) == model
    assert all(trie[key] == value for key, value in model.items())


def test_a_node_past_the_limit_is_refused_and_nothing_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    trie = Trie(store.feed("a"), order="key")
    monkeypatch.setattr(node, "MAX_NODE_SIZE", 300)
    for size in range(1, 10):
        trie["a" * size] = b""
    nested = {"a" * size: b"" for size in range(40, 200)}
    with pytest.raises(ValueError, match=r"part at \d+ levels: its node would have \d+ bytes"):
        trie.update(nested)
    assert len(trie) == len(list(trie)) == trie.version - 1
