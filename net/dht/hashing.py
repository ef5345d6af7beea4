"""Every byte string of the DHT that is hashed or signed, and nothing else.

Each has a context of its own, so that a signature made for one purpose is never
valid for another. H is BLAKE3 with 20 bytes of output, the width of the routing table;
tokens use its keyed mode.
Specified in docs/spec/dht.md, section 3; tests/vectors/dht_example.json holds an example of each.
"""

from __future__ import annotations

from blake3 import blake3

from net.discovery import TOPIC_SIZE

ID_SIZE = 20
"""Bytes of a node id, as many as a topic has."""
TOKEN_SIZE = 8
"""64 bits: a guess succeeds once in 2**63 datagrams, and a token lives for minutes."""

NODE_ID_CONTEXT = b"feedlog dht node id v1\x00"
PEER_TOPIC_CONTEXT = b"feedlog dht peer topic v1\x00"
RELAY_TOPIC_CONTEXT = b"feedlog dht relay topic v1\x00"
ANNOUNCEMENT_CONTEXT = b"feedlog dht announcement v1\x00"
PING_CONTEXT = b"feedlog dht ping v1\x00"
TICKET_CONTEXT = b"feedlog dht ticket v1\x00"
SEALING_CONTEXT = b"feedlog dht sealing key v1\x00"
VALUE_CONTEXT = b"feedlog dht value v1\x00"
VALUE_TOPIC_CONTEXT = b"feedlog dht value topic v1\x00"
WAY_CONTEXT = b"feedlog dht way v1\x00"


def _hash(data: bytes) -> bytes:
    return blake3(data).digest(ID_SIZE)


def node_id(public_key: bytes) -> bytes:
    """Return the id that a node with this key has: nobody chooses an id freely."""
    return _hash(NODE_ID_CONTEXT + public_key)


def peer_topic(public_key: bytes) -> bytes:
    """Return the topic under which the owner of a key announces its own addresses."""
    return _hash(PEER_TOPIC_CONTEXT + public_key)


def relay_topic() -> bytes:
    """Return the one topic under which all relays announce themselves: they are few."""
    return _hash(RELAY_TOPIC_CONTEXT)


def feed_topic(discovery_key: bytes) -> bytes:
    """Return the topic of a feed: the first 20 bytes of its discovery key.

    A DHT node therefore never learns a whole discovery key, let alone a feed's key.
    """
    if len(discovery_key) != 32:
        raise ValueError(f"a discovery key has 32 bytes, not {len(discovery_key)}")
    return discovery_key[:TOPIC_SIZE]


def announcement_signable(body: bytes) -> bytes:
    """Return what an announcer signs: `body` is the record without its signature."""
    return ANNOUNCEMENT_CONTEXT + body


def ping_signable(message_id: bytes, observed: bytes) -> bytes:
    """Return what a node signs to prove its id.

    The message id is the asker's fresh challenge; the packed address is the asker's as
    the signer sees it, so that a proof taken through a third node names that node.
    """
    return PING_CONTEXT + message_id + observed


def way_signable(holder: bytes, token: bytes, ticket: bytes, signature: bytes) -> bytes:
    """Return what an announcer signs to say that it takes introductions where it sends from.

    The token stands for the address. The holder's id is there because a node may give out a
    token that it got from another; `signature` is the record's.
    """
    return WAY_CONTEXT + holder + token + ticket + signature


def address_token(secret: bytes, epoch: int, address: bytes) -> bytes:
    """Return the token that proves, within an epoch, that someone receives at an address."""
    return blake3(epoch.to_bytes(8, "big") + address, key=secret).digest(TOKEN_SIZE)


def introduction_ticket(secret: bytes, address: bytes) -> bytes:
    """Return the ticket that an announcer gives to a holder, who shows it with introductions.

    The context makes it differ from the token that the same node gives to the same address.
    """
    return blake3(TICKET_CONTEXT + address, key=secret).digest(TOKEN_SIZE)


def sealing_key(network_key: bytes) -> bytes:
    """Return the key (32 bytes) that seals the datagrams of a network of one's own."""
    return blake3(SEALING_CONTEXT, key=network_key).digest()


def value_topic(public_key: bytes, salt: bytes) -> bytes:
    """Return the topic under which an owner's value with this salt is held."""
    return _hash(VALUE_TOPIC_CONTEXT + public_key + salt)


def value_signable(body: bytes) -> bytes:
    """Return what the owner of a value signs: `body` is the record without its signature."""
    return VALUE_CONTEXT + body
