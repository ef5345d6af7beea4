from __future__ import annotations

import pytest

from net.dht.hashing import feed_topic, peer_topic, relay_topic
from net.discovery import TOPIC_SIZE, check_topic


def test_what_is_hashed_to_a_topic_is_one() -> None:
    for topic in (feed_topic(bytes(32)), peer_topic(bytes(32)), relay_topic()):
        check_topic(topic)


@pytest.mark.parametrize("size", [0, TOPIC_SIZE - 1, TOPIC_SIZE + 1, 32])
def test_another_size_is_named(size: int) -> None:
    with pytest.raises(ValueError, match=f"has 20 bytes, not {size}"):
        check_topic(bytes(size))
