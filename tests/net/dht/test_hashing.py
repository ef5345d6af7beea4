"""Contexts keep the purposes of hashes and signatures apart; the bytes are in tests/vectors."""

from __future__ import annotations

import pytest

from net.dht import hashing


def test_one_key_gives_unrelated_ids_and_topics() -> None:
    key = bytes(range(32))
    made = {hashing.node_id(key), hashing.peer_topic(key), hashing.feed_topic(key)}
    made.add(hashing.relay_topic())
    assert len(made) == 4
    assert {len(value) for value in made} == {20}


def test_the_topic_of_relays_is_as_specified() -> None:
    assert hashing.relay_topic().hex() == "785c6e8ab5c365a84750d96fc0349023de0765de"


def test_signables_have_contexts_of_which_none_starts_another() -> None:
    contexts = [value for name, value in vars(hashing).items() if name.endswith("_CONTEXT")]
    assert len(contexts) == 10
    for context in contexts:
        assert not any(other.startswith(context) for other in contexts if other != context)


def test_a_feed_topic_is_made_of_a_whole_discovery_key() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 20"):
        hashing.feed_topic(bytes(20))
