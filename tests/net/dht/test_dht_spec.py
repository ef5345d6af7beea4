"""The worked example of docs/spec/dht.md, recomputed; its values whole are in tests/vectors."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from feedlog.keys import KeyPair, verify
from net.addresses import RelayAddress, pack_address
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.datagrams import (
    Request,
    decode_datagram,
    encode_found,
    encode_request,
    encode_response,
)
from net.dht.hashing import (
    address_token,
    announcement_signable,
    feed_topic,
    introduction_ticket,
    node_id,
    peer_topic,
    ping_signable,
    way_signable,
)
from net.dht.messages import Announce, Fetch, Introduce, Introduced, Lookup, Ping, Store
from net.dht.records import parse_announcement, sign_announcement
from net.dht.responder import Responder
from net.dht.routing import Table
from net.dht.sealing import Seal
from net.dht.value_records import parse_value, sign_value

ROOT = Path(__file__).parent.parent.parent.parent
EXAMPLE = json.loads((ROOT / "tests/vectors/dht_example.json").read_text())
SPECIFICATION = (ROOT / "docs/spec/dht.md").read_text()

ALICE = KeyPair.from_seed(bytes(range(32)))
NODE = KeyPair.from_seed(bytes(range(32, 64)))
OTHER = KeyPair.from_seed(bytes(range(64, 96)))
ALICE_AT, OTHER_AT = ("203.0.113.5", 49737), ("198.51.100.7", 50000)
NODE_AT = ("198.51.100.9", 49737)
SECRET = bytes(range(96, 128))
TICKET_SECRET = bytes(range(200, 232))
DISCOVERY_KEY = bytes(range(128, 160))
MESSAGE_ID = bytes(range(160, 180))
NETWORK_KEY, NONCE = bytes(range(64)[32:]), bytes(range(100, 124))
NOW, UNIX = 1500.0, 1_800_000_000


class Nonce(Random):
    """Draws the nonce of the example."""

    def randbytes(self, n: int) -> bytes:
        assert n == len(NONCE)
        return NONCE


def example() -> dict[str, str]:
    """Every value of the example, in the order of the specification's table."""
    topic = feed_topic(DISCOVERY_KEY)
    sender, other = node_id(OTHER.public_key), Contact(bytes(range(180, 200)), OTHER_AT)
    token = address_token(SECRET, int(NOW // 300), pack_address(ALICE_AT))
    record = sign_announcement(
        ALICE, topic, [ALICE_AT, ("2001:db8::5", 49737)], seq=1_800_000_000_000, expiry=UNIX + 3600
    )
    relayed = sign_announcement(
        ALICE,
        topic,
        [ALICE_AT],
        [RelayAddress(OTHER.public_key, OTHER_AT)],
        seq=1_800_000_000_001,
        expiry=UNIX + 3600,
    )
    ticket = introduction_ticket(TICKET_SECRET, pack_address(NODE_AT))
    proof = ALICE.sign(way_signable(node_id(NODE.public_key), token, ticket, record.raw[-64:]))
    value = sign_value(ALICE, b"hello", salt=b"greeting", seq=7, expiry=UNIX + 7200)
    message, reply = b"let us meet", b"at noon"
    ping = Ping(sender)
    responder = Responder(NODE, Table(node_id(NODE.public_key)), SECRET, Random(0))
    pong, _ = responder.answer(Request(MESSAGE_ID, ping), 96, ALICE_AT, NOW, UNIX)
    found = encode_found(
        MESSAGE_ID, ALICE_AT, node_id(NODE.public_key), token, [other], [record.raw], 1200
    )
    assert pong is not None
    assert found is not None
    values = {
        "key of Alice": ALICE.public_key,
        "key of the node": NODE.public_key,
        "id of the node": node_id(NODE.public_key),
        "id of the asker": sender,
        "peer topic of Alice": peer_topic(ALICE.public_key),
        "topic of the feed": topic,
        "packed address of Alice": pack_address(ALICE_AT),
        "token": token,
        "record": record.raw,
        "record with a relay": relayed.raw,
        "ping": encode_request(MESSAGE_ID, ping),
        "answer to the ping": pong,
        "lookup": encode_request(MESSAGE_ID, Lookup(sender, topic)),
        "answer to the lookup": found,
        "ticket": ticket,
        "announce": encode_request(
            MESSAGE_ID, Announce(node_id(ALICE.public_key), token, record.raw, ticket, proof)
        ),
        "answer to the announce": encode_response(MESSAGE_ID, ALICE_AT, None),
        "introduce": encode_request(
            MESSAGE_ID, Introduce(sender, token, topic, ALICE.public_key, message)
        ),
        "introduced": encode_request(
            MESSAGE_ID, Introduced(node_id(NODE.public_key), ticket, topic, message)
        ),
        "answer to the introduction": encode_response(MESSAGE_ID, NODE_AT, reply),
        "topic of the value": value.topic,
        "value": value.raw,
        "get": encode_request(MESSAGE_ID, Fetch(sender, value.topic)),
        "put": encode_request(MESSAGE_ID, Store(sender, token, value.raw)),
        "sealed ping": Seal(NETWORK_KEY, Nonce(0)).seal(encode_request(MESSAGE_ID, ping)),
        "refusal": encode_response(MESSAGE_ID, ALICE_AT, None, Code.STALE),
    }
    return {name: value.hex() for name, value in values.items()}


def test_the_vectors_are_what_the_code_makes() -> None:
    assert example() == EXAMPLE["values"]


def test_the_specification_shows_the_vectors() -> None:
    for name, value in EXAMPLE["values"].items():
        shown = value if len(value) <= 128 else f"{value[:32]}...{value[-32:]}"
        assert f"| {name} | `{shown}` |" in SPECIFICATION


def test_the_vectors_verify() -> None:
    raw = bytes.fromhex(EXAMPLE["values"]["record"])
    assert parse_announcement(raw).public_key == ALICE.public_key
    assert verify(ALICE.public_key, announcement_signable(raw[:-64]), raw[-64:])
    relayed = parse_announcement(bytes.fromhex(EXAMPLE["values"]["record with a relay"]))
    assert relayed.relays == (RelayAddress(OTHER.public_key, OTHER_AT),)
    pong = bytes.fromhex(EXAMPLE["values"]["answer to the ping"])
    signable = ping_signable(MESSAGE_ID, pack_address(ALICE_AT))
    assert verify(NODE.public_key, signable, pong[-64:])
    announce = decode_datagram(bytes.fromhex(EXAMPLE["values"]["announce"]))
    assert isinstance(announce, Request)
    assert isinstance(announce.arguments, Announce)
    arguments = announce.arguments
    way = way_signable(node_id(NODE.public_key), arguments.token, arguments.ticket, raw[-64:])
    assert verify(ALICE.public_key, way, arguments.proof)
    value = parse_value(bytes.fromhex(EXAMPLE["values"]["value"]))
    assert (value.value, value.salt, value.seq) == (b"hello", b"greeting", 7)
    sealed = bytes.fromhex(EXAMPLE["values"]["sealed ping"])
    opened = Seal(NETWORK_KEY, Random(0)).open(sealed)
    assert opened.hex() == EXAMPLE["values"]["ping"]
    for name in ("ping", "lookup", "announce", "introduce", "introduced", "get", "put", "refusal"):
        decode_datagram(bytes.fromhex(EXAMPLE["values"][name]))
