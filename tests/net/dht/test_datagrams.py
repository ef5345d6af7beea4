"""Datagrams: round trips, bounds, and nothing but DecodeError."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.datagrams import (
    DHT_TAG,
    INTRODUCE_SIZE,
    INTRODUCED_SIZE,
    LOOKUP_SIZE,
    PADDED,
    Request,
    Response,
    answer_budget,
    decode_body,
    decode_datagram,
    encode_found,
    encode_request,
    encode_response,
)
from net.dht.messages import (
    MAX_DATAGRAM,
    MAX_MESSAGE,
    RPCS,
    Announce,
    Arguments,
    Fetch,
    Found,
    Introduce,
    Introduced,
    Lookup,
    Ping,
    Pong,
    Store,
)
from net.dht.sealing import OVERHEAD

ID = bytes(range(20))
ME = b"\x22" * 20
V4, V6 = ("1.2.3.4", 5), ("2a00::1", 6)
REQUEST, RESPONSE = bytes((DHT_TAG, 0)) + ID, bytes((DHT_TAG, 1)) + ID

senders = st.sampled_from([b"", ME])
twenty = st.binary(min_size=20, max_size=20)
eight = st.binary(min_size=8, max_size=8)
thirty_two = st.binary(min_size=32, max_size=32)
sixty_four = st.binary(min_size=64, max_size=64)
messages = st.binary(min_size=1, max_size=MAX_MESSAGE)
requests = st.one_of(
    st.builds(Ping, senders),
    st.builds(Lookup, senders, twenty),
    st.builds(Announce, senders, eight, st.binary(max_size=286), eight, sixty_four),
    st.builds(Introduce, senders, eight, twenty, thirty_two, messages),
    st.builds(Introduced, senders, eight, twenty, messages),
    st.builds(Fetch, senders, twenty),
    st.builds(
        Store, senders, eight, st.binary(max_size=660), st.none() | st.integers(0, 2**63 - 1)
    ),
)


def without_padding(arguments: Arguments) -> Arguments:
    if isinstance(arguments, Announce | Store):
        return arguments
    return msgspec.structs.replace(arguments, padding=b"")


@given(requests)
def test_requests_round_trip_and_are_padded(arguments: Arguments) -> None:
    data = encode_request(ID, arguments)
    decoded = decode_datagram(data)
    assert isinstance(decoded, Request)
    assert (decoded.message_id, without_padding(decoded.arguments)) == (ID, arguments)
    if not isinstance(arguments, Announce | Store):
        assert len(data) == PADDED[type(arguments)]


@given(st.sampled_from([V4, V6]), st.sampled_from(Code))
def test_responses_round_trip(observed: tuple[str, int], code: Code) -> None:
    pong = Pong(bytes(32), bytes(64))
    decoded = decode_datagram(encode_response(ID, observed, pong, code))
    assert isinstance(decoded, Response)
    assert (decoded.message_id, decoded.code, decoded.observed) == (ID, code, observed)
    assert decode_body("ping", decoded) == pong


@given(
    st.lists(twenty, max_size=30),
    st.booleans(),
    st.lists(st.binary(min_size=134, max_size=286), max_size=6),
    st.integers(0, MAX_DATAGRAM),
)
def test_an_answer_never_exceeds_its_budget_and_keeps_the_nearest(
    ids: list[bytes], v6: bool, records: list[bytes], budget: int
) -> None:
    contacts = [Contact(i, V6 if v6 else V4) for i in ids]
    data = encode_found(ID, V6, ME, bytes(8), contacts, records, budget)
    if data is None:
        assert budget < 100
        return
    assert len(data) <= budget
    response = decode_datagram(data)
    assert isinstance(response, Response)
    found = decode_body("lookup", response)
    assert isinstance(found, Found)
    assert found.contacts() == contacts[: len(found.contacts())]
    assert all(record in records for record in found.records)


def test_a_lookup_draws_a_full_answer() -> None:
    contacts = [Contact(bytes([n]) * 20, V4) for n in range(30)]
    budget = answer_budget(LOOKUP_SIZE)
    assert budget == MAX_DATAGRAM
    data = encode_found(ID, V4, ME, bytes(8), contacts, [bytes(141)] * 6, budget)
    assert data is not None
    response = decode_datagram(data)
    assert isinstance(response, Response)
    found = decode_body("lookup", response)
    assert isinstance(found, Found)
    assert (len(found.contacts()), len(found.records)) == (20, 4)


@given(st.binary(max_size=200), st.sampled_from([b"", REQUEST, RESPONSE]))
def test_any_bytes_raise_nothing_but_decode_errors(tail: bytes, head: bytes) -> None:
    try:
        decoded = decode_datagram(head + tail)
    except DecodeError:
        return
    if isinstance(decoded, Response):
        for name in RPCS:
            with suppress(DecodeError):
                read(name, decoded)


def test_mutated_and_cut_messages_raise_nothing_but_decode_errors() -> None:
    rng = Random(1)
    contacts = [Contact(bytes([n]) * 20, V4) for n in range(9)]
    found = encode_found(ID, V4, ME, bytes(8), contacts, [bytes(150)], MAX_DATAGRAM)
    assert found is not None
    good = [
        encode_request(ID, Ping(ME)),
        encode_request(ID, Lookup(ME, ID)),
        encode_request(ID, Announce(ME, bytes(8), bytes(150), bytes(8), bytes(64))),
        encode_request(ID, Introduce(ME, bytes(8), ID, bytes(32), bytes(300))),
        encode_request(ID, Introduced(ME, bytes(8), ID, bytes(300))),
        encode_response(ID, V4, Pong(bytes(32), bytes(64))),
        encode_response(ID, V4, bytes(300)),
        found,
    ]
    for data in good:
        for size in range(len(data)):
            with pytest.raises(DecodeError):
                everything(data[:size])
        for _ in range(2000):
            mutated = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                mutated[rng.randrange(len(mutated))] = rng.randrange(256)
            with suppress(DecodeError):
                everything(bytes(mutated))


def everything(data: bytes) -> None:
    decoded = decode_datagram(data)
    if isinstance(decoded, Response):
        read("ping" if len(data) < 150 else "lookup", decoded)


def pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


@pytest.mark.parametrize(
    "payload",
    [
        pack(5),
        pack([[1, 2, 3]]),
        pack({}),
        pack({"value": [1]}),
        pack([0, bytes(6)]),
        pack([0, bytes(7), None]),
        pack([99, bytes(6), None]),
        pack([True, bytes(6), None]),
        pack([0, bytes(6), None, None]),
    ],
)
def test_malformed_responses(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_datagram(RESPONSE + payload)


def read(name: str, response: Response) -> None:
    body = decode_body(name, response)
    if isinstance(body, Found):
        body.contacts()


def test_sizes_tags_and_kinds() -> None:
    good = encode_request(ID, Ping(ME))
    for bad in (
        b"",
        good[:22],
        good + bytes(MAX_DATAGRAM),
        b"\x11" + good[1:],
        b"\x10\x02" + good[2:],
    ):
        with pytest.raises(DecodeError):
            decode_datagram(bad)


def test_no_answer_to_a_carried_message_is_larger_than_what_carries_it() -> None:
    answer = encode_response(ID, V6, bytes(MAX_MESSAGE))
    assert len(answer) < INTRODUCED_SIZE < INTRODUCE_SIZE
    largest = encode_request(ID, Introduce(ME, bytes(8), ID, bytes(32), bytes(MAX_MESSAGE)))
    assert len(largest) == INTRODUCE_SIZE
    assert len(encode_request(ID, Introduced(ME, bytes(8), ID, bytes(512)))) == INTRODUCED_SIZE


def test_the_largest_value_fits_beside_the_ten_nearest_contacts_also_sealed() -> None:
    contacts = [Contact(bytes([n]) * 20, V6) for n in range(20)]
    data = encode_found(ID, V6, ME, bytes(8), contacts, [bytes(660)], MAX_DATAGRAM - OVERHEAD)
    assert data is not None
    response = decode_datagram(data)
    assert isinstance(response, Response)
    found = decode_body("get", response)
    assert isinstance(found, Found)
    assert len(found.records) == 1
    assert len(found.contacts()) >= 10
    largest = Store(ME, bytes(8), bytes(660), 2**63 - 1)
    assert len(encode_request(ID, largest)) <= MAX_DATAGRAM - OVERHEAD
