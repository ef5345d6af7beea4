"""What procedures take and answer: other shapes and sizes are malformed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from feedlog.errors import DecodeError
from net.dht.contacts import MAX_NODES, Contact
from net.dht.datagrams import DHT_TAG, Response, decode_body, decode_datagram
from net.dht.messages import RPCS, Fetch, Found, Lookup, Ping, procedure

ID = bytes(range(20))
ME = b"\x22" * 20
V4 = ("1.2.3.4", 5)
REQUEST, RESPONSE = bytes((DHT_TAG, 0)) + ID, bytes((DHT_TAG, 1)) + ID


def pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


@pytest.mark.parametrize(
    "payload",
    [
        pack(5),
        pack({}),
        pack([]),
        pack(["ping"]),
        pack(["ping", [ME], 1]),
        pack(["ping", {}]),
        pack(["ping", []]),
        pack(["ping", ["x" * 20]]),
        pack(["ping", [b"x" * 19]]),
        pack(["ping", [b"x" * 21]]),
        pack(["ping", [ME, b"", 1]]),
        pack(["stun", []]),
        pack(["rpc_ping", [ME]]),
        pack(["__init__", [ME]]),
        pack(["store", [ME, b"k", b"v"]]),
        pack(["lookup", [ME, bytes(32), b""]]),
        pack(["announce", [ME, bytes(7), b""]]),
        pack(["announce", [ME, bytes(8), bytes(287)]]),
        pack(["ping", [ME]]) + b"\x00",
        b"\xc1",
        b"\x92\xa4ping" + b"\x91" * 1000,
        b"\x92\xa4\xff\xff\xff\xff\x91\xc0",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_malformed_requests(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_datagram(REQUEST + payload)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("announce", []),
        ("ping", [bytes(32), bytes(63)]),
        ("lookup", None),
        ("lookup", [ME, bytes(8), bytes(25), b"", []]),
        ("lookup", [ME, bytes(8), b"", bytes(37), []]),
        ("lookup", [ME, bytes(8), bytes(26 * (MAX_NODES + 1)), b"", []]),
        ("lookup", [ME, bytes(8), b"", b"", [b""] * 5]),
        ("lookup", [ME, bytes(8), b"", b"", [bytes(661)]]),
        ("lookup", [ME[:19], bytes(8), b"", b"", []]),
    ],
)
def test_malformed_bodies(name: str, body: Any) -> None:
    response = decode_datagram(RESPONSE + pack([0, bytes(6), body]))
    assert isinstance(response, Response)
    with pytest.raises(DecodeError):
        read(name, response)


def read(name: str, response: Response) -> None:
    body = decode_body(name, response)
    if isinstance(body, Found):
        body.contacts()


def test_each_procedure_takes_arguments_of_its_own() -> None:
    assert len({kind for kind, _ in RPCS.values()}) == len(RPCS)
    assert [procedure(one) for one in (Ping(ME), Lookup(ME, ID), Fetch(ME, ID))] == [
        "ping",
        "lookup",
        "get",
    ]


def test_contacts_without_a_port_are_left_out() -> None:
    found = Found(ME, bytes(8), ID + bytes(6) + ID + b"\x01\x02\x03\x04\x00\x05", b"", [])
    assert found.contacts() == [Contact(ID, V4)]
