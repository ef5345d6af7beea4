"""A million keys: names of the standard library's files, with versions. Run by `make soak`."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import pytest

from feedlog import Store
from trie import Trie, check_trie_proof, check_trie_range

KEYS = 1_000_000


@pytest.mark.soak
@pytest.mark.parametrize("order", ["hash", "key"])
def test_a_million_keys(tmp_path: Path, order: str) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    names = [str(path.relative_to(library)) for path in sorted(library.rglob("*.py"))]
    versions = -(-KEYS // len(names))
    keys = [f"{name}/{version}" for version in range(versions) for name in names][:KEYS]
    with Store(tmp_path / "store", durability="relaxed") as store:
        trie = Trie(store.feed("million"), order="key" if order == "key" else "hash")
        for first in range(0, KEYS, 50_000):
            trie.update({key: key.encode() for key in keys[first : first + 50_000]})
        assert len(trie) == KEYS
        rng = random.Random(1)
        for key in rng.sample(keys, 2000):
            assert trie[key] == key.encode()
            assert key + "x" not in trie
        for key in rng.sample(keys, 50):
            assert len(trie.walk(key)) < 40
            assert check_trie_proof(trie.feed.key, key, trie.prove(key)) == key.encode()
            absent = key + "/none"
            assert check_trie_proof(trie.feed.key, absent, trie.prove(absent)) is None
            prefix = key.rpartition("/")[0] + "/"
            listing = check_trie_range(trie.feed.key, prefix, trie.prove_range(prefix))
            assert sorted(listing) == sorted(trie.items(prefix))
            assert len(listing) == trie.count(prefix)
        version = trie.version
        gone = rng.sample(keys, 500)
        for key in gone:
            del trie[key]
        assert {change.key for change in trie.diff(version)} == set(gone)
        assert len(trie) == KEYS - 500
        assert sum(1 for _ in trie) == KEYS - 500
