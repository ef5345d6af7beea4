"""Keys for Mainline items, as docs/spec/mainline.md prints them."""

from __future__ import annotations

import re
from pathlib import Path

from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from feedlog.keys import KeyPair
from net.mainline.hashing import PEER_SALT, expanded_secret, slot_salt, topic_seed

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "mainline.md"


def test_the_specified_values() -> None:
    table = dict(re.findall(r"^\| (.+?) \| `(.+?)` \|$", SPEC.read_text(), re.MULTILINE))
    topic = bytes(range(0x80, 0x94))
    assert table["topic"] == topic.hex()
    assert table["seed of the topic's key"] == topic_seed(topic).hex()
    assert table["the topic's key"] == KeyPair.from_seed(topic_seed(topic)).public_key.hex()
    assert table["salt of slot 3"] == slot_salt(3).hex()
    assert table["salt of a peer's own item"] == PEER_SALT.hex()


def test_the_expanded_secret_has_the_same_public_key() -> None:
    pair = KeyPair.generate()
    secret = expanded_secret(pair.seed)
    assert len(secret) == 64
    assert crypto_scalarmult_ed25519_base_noclamp(secret[:32]) == pair.public_key
