"""The link's queue, on socket pairs that keep packets apart as a TUN device does."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from benchmarks import link
from benchmarks.link import Direction


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, int, int, socket.socket]]:
    """What is written to the first comes out of a direction's source, its sink ends in the last."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    (into, source), (sink, out) = pairs
    for end in (source, sink, out):
        end.setblocking(False)
    yield into, source.fileno(), sink.fileno(), out
    for pair in pairs:
        for end in pair:
            end.close()


def received(out: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(os.read(out.fileno(), 65535))
        except BlockingIOError:
            return packets


Ends = tuple[socket.socket, int, int, socket.socket]


def test_a_packet_waits_for_its_delay_and_keeps_its_place(ends: Ends) -> None:
    into, source, sink, out = ends
    direction = Direction(source, sink, delay=0.5, loss=0.0, seed=1)
    into.send(b"first")
    direction.read(now=10.0)
    into.send(b"second")
    direction.read(now=10.25)
    assert direction.due() == 10.5
    direction.deliver(now=10.4)
    assert received(out) == []
    direction.deliver(now=10.75)
    assert received(out) == [b"first", b"second"]
    assert direction.due() is None


def test_the_same_seed_loses_the_same_packets_at_the_given_rate(ends: Ends) -> None:
    into, source, sink, out = ends

    def survivors(seed: int) -> list[bytes]:
        direction = Direction(source, sink, delay=0.0, loss=0.2, seed=seed)
        arrived = []
        for number in range(500):
            into.send(number.to_bytes(2, "big"))
            direction.read(now=0.0)
            direction.deliver(now=0.0)
            arrived += received(out)
        return arrived

    first = survivors(seed=7)
    assert survivors(seed=7) == first
    assert survivors(seed=8) != first
    assert 0.7 < len(first) / 500 < 0.9


def test_a_full_queue_drops_what_comes_last(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    into, source, sink, out = ends
    monkeypatch.setattr(link, "QUEUE_BYTES", 10)
    direction = Direction(source, sink, delay=1.0, loss=0.0, seed=1)
    for packet in (b"123456", b"7890", b"too much"):
        into.send(packet)
    direction.read(now=0.0)
    direction.deliver(now=1.0)
    assert received(out) == [b"123456", b"7890"]
