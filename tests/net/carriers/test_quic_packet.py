"""Reading what strangers send before a connection is there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.carriers.quic_connection import BurstConnection, client_configuration
from net.carriers.quic_packet import (
    MIN_INITIAL,
    QUIC_BYTES,
    RETRY_EPOCH,
    FirstFlight,
    Retries,
    destination,
    first_flight,
)

HERE = ("192.0.2.1", 4000)


def real_flight(now: float = 0.0) -> tuple[BurstConnection, list[bytes]]:
    connection = BurstConnection(configuration=client_configuration())
    connection.connect(HERE, now)
    return connection, connection.datagrams(now, 100)


def test_the_first_flight_of_a_client_is_read() -> None:
    connection, datagrams = real_flight()
    assert len(datagrams) == 2  # the key share of X25519MLKEM768 takes more than one
    for data in datagrams:
        flight = first_flight(data)
        assert flight is not None
        assert flight.destination == connection.original_destination_connection_id
        assert flight.destination == destination(data)
        assert flight.source == connection.host_cid
        assert flight.token == b""
        assert data[0] in QUIC_BYTES


def test_only_a_whole_first_flight_is_one() -> None:
    data = real_flight()[1][0]
    assert first_flight(data[: MIN_INITIAL - 1]) is None
    assert first_flight(bytes([data[0] & 0x7F]) + data[1:]) is None
    assert first_flight(bytes([data[0] | 0x20]) + data[1:]) is None  # Handshake
    assert first_flight(data[:1] + b"\x00\x00\x00\x02" + data[5:]) is None
    assert first_flight(data[:5] + b"\x07" + data[6:]) is None  # an id that can be guessed
    assert first_flight(data[:5] + b"\x15" + data[6:]) is None  # longer than ids are


@given(st.binary(max_size=64), st.binary(max_size=40), st.integers(0, 80))
def test_anything_is_read_or_refused(head: bytes, body: bytes, start: int) -> None:
    data = head + body
    for guess in (data, b"\xc0\x00\x00\x00\x01" + data, data + bytes(MIN_INITIAL)):
        cid = destination(guess, start)
        assert cid is None or len(cid) <= 20
        flight = first_flight(guess)
        assert flight is None or flight.token in guess
        padded = b"\xc0\x00\x00\x00\x01" + data + bytes([0xFF]) * MIN_INITIAL
        assert first_flight(padded) is None or isinstance(first_flight(padded), FirstFlight)


def test_a_short_header_names_eight_bytes() -> None:
    assert destination(b"\x40abcdefghij") == b"abcdefgh"
    assert destination(b"\x40abcdefg") is None
    assert destination(b"xx\x40abcdefgh", 2) == b"abcdefgh"
    assert destination(b"\xc0\x00\x00\x00\x01") is None
    assert destination(b"\xc0\x00\x00\x00\x01\x02a") is None
    assert destination(b"") is None


def test_a_retry_proves_an_address_for_a_while() -> None:
    flight = FirstFlight(b"original", b"client00", b"")
    retries = Retries(bytes(32))
    packet = retries.ask(flight, b"chosen00", HERE, 1000.0)
    assert len(packet) < 150  # an eighth of the flight: of no use to reflect
    token = packet[7 + 16 : -16]
    again = FirstFlight(b"chosen00", b"client00", token)
    assert retries.check(again, HERE, 1000.0) == b"original"
    assert retries.check(again, HERE, 1000.0 + RETRY_EPOCH) == b"original"
    assert retries.check(again, HERE, 1000.0 + 2 * RETRY_EPOCH) is None
    assert retries.check(again, ("192.0.2.1", 4001), 1000.0) is None
    assert retries.check(again, ("192.0.2.2", 4000), 1000.0) is None
    assert retries.check(again._replace(destination=b"chosen01"), HERE, 1000.0) is None
    assert retries.check(again._replace(token=token[:-1] + b"x"), HERE, 1000.0) is None
    assert retries.check(again._replace(token=token[:20]), HERE, 1000.0) is None
    assert Retries(bytes([1]) * 32).check(again, HERE, 1000.0) is None


def test_a_client_follows_a_retry() -> None:
    connection, datagrams = real_flight()
    flight = first_flight(datagrams[0])
    assert flight is not None
    retries = Retries(bytes(32))
    connection.receive_datagram(retries.ask(flight, b"chosen00", HERE, 0.0), HERE, 0.0)
    again = first_flight(connection.datagrams(0.0, 1)[0])
    assert again is not None
    assert retries.check(again, HERE, 0.0) == flight.destination
