"""The datagrams of local discovery: what fits, and that a decoder raises one error only."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.dht.records import MAX_RECORD_SIZE
from net.lan.hashing import network_key, seal
from net.lan.messages import (
    MAX_DATAGRAM,
    MAX_RECORDS,
    MAX_TOPICS,
    Answer,
    Message,
    Query,
    decode,
    encode,
    queries,
)

KEY = network_key(b"test")
SENDER = b"12345678"
TOPICS = st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=MAX_TOPICS)
RECORDS = st.lists(st.binary(max_size=MAX_RECORD_SIZE), min_size=1, max_size=MAX_RECORDS)
BODIES = st.one_of(
    TOPICS.map(lambda topics: Query(tuple(topics))),
    RECORDS.map(lambda records: Answer(tuple(records))),
)


def sealed(rest: bytes) -> bytes:
    return seal(KEY, rest) + rest


@given(BODIES)
def test_what_is_written_is_read(body: Query | Answer) -> None:
    data = encode(KEY, SENDER, body)
    assert len(data) <= MAX_DATAGRAM
    assert decode(KEY, data) == Message(SENDER, body)


@given(BODIES, st.data())
def test_a_changed_datagram_is_refused(body: Query | Answer, draw: st.DataObject) -> None:
    data = bytearray(encode(KEY, SENDER, body))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(DecodeError):
        decode(KEY, bytes(data))


@given(st.binary(max_size=1300))
def test_noise_is_refused_by_one_error(noise: bytes) -> None:
    for data in (noise, sealed(SENDER + noise)):
        with pytest.raises(DecodeError):
            decode(KEY, data)


def test_another_network_is_refused() -> None:
    data = encode(network_key(b""), SENDER, Query((bytes(20),)))
    with pytest.raises(DecodeError, match="another network"):
        decode(KEY, data)


@pytest.mark.parametrize(
    "body",
    [
        ["query", []],
        ["query", [bytes(19)]],
        ["query", [bytes(20)] * (MAX_TOPICS + 1)],
        ["query", [bytes(20)], 1],
        ["query"],
        ["answer", []],
        ["answer", [bytes(MAX_RECORD_SIZE + 1)]],
        ["answer", [bytes(10)] * (MAX_RECORDS + 1)],
        ["other", []],
        {"query": []},
        None,
    ],
)
def test_members_too_are_held_to_the_bounds(body: object) -> None:
    with pytest.raises(DecodeError):
        decode(KEY, sealed(SENDER + msgspec.msgpack.encode(body)))


def test_topics_are_shared_out() -> None:
    topics = [bytes([n]) * 20 for n in range(MAX_TOPICS + 1)]
    assert [len(query.topics) for query in queries(topics)] == [MAX_TOPICS, 1]
    assert queries([]) == []
