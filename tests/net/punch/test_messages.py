"""The bytes of punching."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.errors import DecodeError
from net.punch.classify import NatClass
from net.punch.hashing import punch_keys
from net.punch.messages import (
    DATAGRAM_SIZE,
    MAX_LOCAL,
    MAX_OFFER_SIZE,
    MIN_PORT,
    PORTS_SIZE,
    Kind,
    Message,
    Offer,
    Ports,
    decode_offer,
    decode_ports,
    encode_offer,
    encode_ports,
    open_datagram,
    seal_datagram,
    session_of,
)

NEAR = punch_keys(bytes(32), bytes([1]) * 32, bytes(64))
FAR = punch_keys(bytes([1]) * 32, bytes(32), bytes(64))
EIGHT = st.binary(min_size=8, max_size=8)
HOSTS = st.sampled_from(["192.0.2.1", "10.0.0.1", "2001:db8::1"])
ADDRESSES = st.tuples(HOSTS, st.integers(1, 65535))
OFFERS = st.builds(
    Offer,
    st.sampled_from(NatClass),
    st.none() | ADDRESSES,
    st.lists(ADDRESSES, max_size=MAX_LOCAL).map(tuple),
)


@given(st.builds(Message, st.sampled_from(Kind), EIGHT, EIGHT))
def test_a_datagram_comes_back(message: Message) -> None:
    data = seal_datagram(NEAR, message)
    assert len(data) == DATAGRAM_SIZE
    assert open_datagram(FAR, data) == message
    assert session_of(data) == FAR.session


@given(st.integers(0, DATAGRAM_SIZE * 8 - 1))
def test_every_bit_counts(bit: int) -> None:
    data = bytearray(seal_datagram(NEAR, Message(Kind.ECHO, bytes(8), bytes(8))))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DecodeError):
        open_datagram(FAR, bytes(data))


def test_what_one_has_sent_is_not_taken_from_others() -> None:
    data = seal_datagram(NEAR, Message(Kind.PROBE, bytes(8), bytes(8)))
    with pytest.raises(DecodeError, match="seal"):
        open_datagram(NEAR, data)
    with pytest.raises(DecodeError, match="session"):
        open_datagram(punch_keys(bytes([1]) * 32, bytes(32), bytes([1]) * 64), data)


@given(st.binary(max_size=60))
def test_a_datagram_only_raises_decode_errors(data: bytes) -> None:
    with pytest.raises(DecodeError):
        open_datagram(FAR, data)


@given(OFFERS)
def test_an_offer_comes_back_and_no_part_of_it_does(offer: Offer) -> None:
    data = encode_offer(offer)
    assert len(data) <= MAX_OFFER_SIZE
    assert decode_offer(data) == offer
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decode_offer(data[:end])


@given(st.binary(max_size=MAX_OFFER_SIZE + 8))
def test_an_offer_only_raises_decode_errors(data: bytes) -> None:
    try:
        decode_offer(data)
    except DecodeError:
        return


@given(st.builds(Ports, st.integers(0, 65535), st.integers(MIN_PORT, 65535)))
def test_ports_come_back_and_no_part_of_them_does(ports: Ports) -> None:
    data = encode_ports(ports)
    assert decode_ports(data) == ports
    for wrong in (*(data[:end] for end in range(PORTS_SIZE)), data + b"\x00"):
        with pytest.raises(DecodeError, match="not 4 bytes"):
            decode_ports(wrong)


@given(st.integers(0, 65535), st.integers(0, MIN_PORT - 1))
def test_nobody_is_given_the_port_of_a_service(udp: int, tcp: int) -> None:
    with pytest.raises(DecodeError, match=f"tcp port {tcp}, less than 1024"):
        decode_ports(encode_ports(Ports(udp, tcp)))


def test_limits_of_an_offer() -> None:
    address = ("2001:db8::1", 9)
    largest = encode_offer(Offer(NatClass.RANDOM, address, (address,) * MAX_LOCAL))
    assert len(largest) <= MAX_OFFER_SIZE
    with pytest.raises(ValueError, match="at most 6"):
        encode_offer(Offer(NatClass.RANDOM, None, (address,) * (MAX_LOCAL + 1)))
    with pytest.raises(DecodeError, match="port 0"):
        decode_offer(encode_offer(Offer(NatClass.OPEN, ("192.0.2.1", 0))))
    with pytest.raises(DecodeError, match="more than"):
        decode_offer(bytes(MAX_OFFER_SIZE + 1))
