"""What proofs show; tests/adversary/test_trie_proofs.py is about those that show nothing."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import DecodeError, Feed, InvalidProof, Store
from trie import Sub, Trie, TrieProof, check_trie_proof, check_trie_range


def filled(trie: Trie) -> Trie:
    trie.update({f"pkg/{number}/1.0": b"%d" % number for number in range(300)})
    trie["pkg/7/long"] = b"x" * 70_000
    del trie["pkg/8/1.0"]
    return trie


def test_presence_and_absence(trie: Trie) -> None:
    key = filled(trie).feed.key
    proof = TrieProof.from_bytes(trie.prove("pkg/7/1.0").to_bytes())
    assert check_trie_proof(key, "pkg/7/1.0", proof) == b"7"
    assert check_trie_proof(key, "pkg/7/long", trie.prove("pkg/7/long")) == b"x" * 70_000
    for absent in ("pkg/8/1.0", "pkg", "", "other"):
        proof = trie.prove(absent)
        assert check_trie_proof(key, absent, proof) is None
        assert check_trie_proof(key, absent, proof, default="absent") == "absent"
        assert proof.version == trie.version


def test_a_listing_is_shown_to_be_complete(trie: Trie) -> None:
    key = filled(trie).feed.key
    for prefix in ("pkg/7", "pkg/7/", "pkg/8", "none/", "pkg/7/1.0"):
        proof = TrieProof.from_bytes(trie.prove_range(prefix).to_bytes())
        assert check_trie_range(key, prefix, proof) == list(trie.items(prefix))


def test_a_range_of_keys_is_shown_to_be_complete(feed: Feed) -> None:
    trie = Trie(feed, order="key")
    trie.update({f"{number:03}": b"" for number in range(500)})
    proof = trie.prove_range(start="100", stop="103")
    found = check_trie_range(feed.key, "", proof, start="100", stop="103")
    assert found == [("100", b""), ("101", b""), ("102", b"")]
    assert len(proof.to_bytes()) < 10_000


def test_a_range_needs_an_order(trie: Trie) -> None:
    if trie.header.order == "hash":
        trie["a"] = b""
        with pytest.raises(ValueError, match="order='key'"):
            trie.prove_range(start="a")


def test_an_old_version_is_provable(trie: Trie) -> None:
    trie["a"] = b"1"
    trie["a"] = b"2"
    old = trie.at(2).prove("a")
    assert check_trie_proof(trie.feed.key, "a", old) == b"1"
    assert old.version == 2
    trie.clear()
    assert check_trie_proof(trie.feed.key, "a", trie.prove("a")) is None
    assert check_trie_range(trie.feed.key, "", trie.prove_range()) == []


def test_a_replica_proves_what_it_holds(trie: Trie) -> None:
    filled(trie)
    with Store.memory() as elsewhere:
        copy = elsewhere.feed(key=trie.feed.key)
        copy.apply(trie.prove("pkg/7/1.0").proof)
        proof = Trie(copy).prove("pkg/7/1.0")
        assert check_trie_proof(copy.key, "pkg/7/1.0", proof) == b"7"


def test_a_part_proves_whole_keys(trie: Trie) -> None:
    trie["users/ann"] = b"1"
    proof = trie.sub("users").prove("ann")
    assert check_trie_proof(trie.feed.key, "users/ann", proof) == b"1"


def test_a_proof_grows_with_the_logarithm(feed: Feed) -> None:
    trie = Trie(feed, hash_key=bytes(32))

    def size() -> float:
        return fmean(len(trie.prove(f"{number}").to_bytes()) for number in range(50))

    trie.update({f"{number}": b"" for number in range(100)})
    small = size()
    trie.update({f"{number}": b"" for number in range(100, 5000)})
    assert size() < 3 * small


@given(data=st.binary())
def test_decoding_raises_nothing_but_decode_errors(data: bytes) -> None:
    for prefix in (b"", b"feedlog/trie-proof\x01"):
        with pytest.raises(DecodeError):
            TrieProof.from_bytes(prefix + data)


def test_every_truncation_is_refused(trie: Trie) -> None:
    trie["a"] = b"1"
    data = trie.prove("a").to_bytes()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            TrieProof.from_bytes(data[:size])
    with pytest.raises(DecodeError):
        TrieProof.from_bytes(data + b"\0")


def test_a_sub_database_with_codecs_of_its_own(trie: Trie) -> None:
    trie["other"] = b""
    users = trie.sub("users", key_codec="json", value_codec="msgpack")
    users[[1, "ann"]] = {"age": 30}
    users[[2, "bob"]] = {}
    key, sub = trie.feed.key, Sub("users", "json", "msgpack")
    assert check_trie_proof(key, [1, "ann"], users.prove([1, "ann"]), sub=sub) == {"age": 30}
    assert check_trie_proof(key, [3], users.prove([3]), sub=sub, default="none") == "none"
    assert check_trie_range(key, "", users.prove_range(), sub=sub) == list(users.items())
    with pytest.raises(InvalidProof, match="another listing"):
        check_trie_range(key, "", trie.prove_range(), sub=sub)
    with pytest.raises(InvalidProof, match="another key"):
        check_trie_proof(key, "ann", users.prove([1, "ann"]), sub=Sub("users"))
