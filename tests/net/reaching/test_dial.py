"""The race between the ways to a peer, on real sockets and on made-up ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from net.carriers import Carrier, TcpListener, listen_tcp, memory_pair
from net.carriers.medium import Medium
from net.carriers.quic import QuicPort
from net.carriers.udp import UdpSocket
from net.errors import ConnectError, ListenError, NetError
from net.reaching.dial import MAX_WAYS, Way, dial, ways_to
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.receivers import Recording
from tests.reference.wire import ALICE, BOB, EVE

secure = partial(open_stream, key_pair=ALICE, remote_key=BOB.public_key)


class Listening:
    """Bob (or somebody else) who accepts streams on TCP, QUIC or both."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[SecureStream]] = []
        self.key = BOB
        self.tcp: TcpListener | None = None
        self.udp: UdpSocket | None = None
        self.quic: QuicPort | None = None

    def accept(self, carrier: Carrier) -> None:
        self.tasks.append(asyncio.ensure_future(accept_stream(carrier, self.key)))

    async def open(self, *, tcp: bool = True, quic: bool = True) -> tuple[str, int]:
        while self.udp is None:
            udp = await UdpSocket.open("127.0.0.1")
            address = udp.addresses[0]
            try:
                self.tcp = await listen_tcp(self.accept, *address) if tcp else None
            except ListenError:  # another process has that number on TCP
                udp.close()
            else:
                self.udp = udp
        if quic:
            self.quic = QuicPort(self.udp, self.accept)
        return address

    async def close(self) -> None:
        for thing in (self.tcp, self.quic, self.udp):
            if thing is not None:
                thing.close()
        for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(outcome, SecureStream):
                outcome.abort()


@pytest.fixture
async def bob() -> AsyncIterator[Listening]:
    listening = Listening()
    yield listening
    await listening.close()


@pytest.fixture
async def quic() -> AsyncIterator[QuicPort]:
    udp = await UdpSocket.open("127.0.0.1")
    port = QuicPort(udp)
    yield port
    port.close()
    udp.close()


async def test_tcp_wins_where_it_connects(bob: Listening, quic: QuicPort) -> None:
    address = await bob.open()
    stream = await dial(ways_to([address], quic), secure)
    assert stream.description.startswith("tcp")
    assert stream.remote_key == BOB.public_key
    stream.abort()


async def test_quic_takes_over_at_once_where_tcp_is_refused(bob: Listening, quic: QuicPort) -> None:
    address = await bob.open(tcp=False)
    stream = await dial(ways_to([address], quic), secure, stagger=1000.0)
    assert stream.description.startswith("quic")
    stream.abort()


async def test_a_silent_way_does_not_hold_up_the_next(bob: Listening, quic: QuicPort) -> None:
    address = await bob.open(tcp=False)
    cancelled = asyncio.Event()

    async def never() -> Carrier:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    ways = [Way(Medium.MEMORY, "silence", never), *ways_to([address], quic)]
    stream = await dial(ways, secure, stagger=0.01)
    assert cancelled.is_set()
    stream.abort()


async def test_another_key_does_not_win(bob: Listening, quic: QuicPort) -> None:
    other = Listening()
    other.key = EVE
    address = await bob.open()
    stream = await dial(ways_to([await other.open(), address], quic), secure)
    assert stream.remote_key == BOB.public_key
    assert str(address[1]) in stream.description
    stream.abort()
    await other.close()


async def test_when_nothing_works_each_attempt_is_named(quic: QuicPort) -> None:
    other = Listening()
    other.key = EVE
    wrong, silent = await other.open(), await UdpSocket.open("127.0.0.1")
    nobody = silent.addresses[0]
    ways = [replace(way, timeout=0.5) for way in ways_to([wrong, nobody], quic)]
    with pytest.raises(ConnectError) as caught:
        await dial(ways, secure, stagger=0.01)
    reasons = sorted(caught.value.tried)
    assert len(reasons) == 4
    assert f"quic 127.0.0.1:{nobody[1]}: no answer in time" in reasons
    refused = next(r for r in reasons if r.startswith(f"tcp 127.0.0.1:{nobody[1]}"))
    assert "refused" in refused or "failed" in refused
    assert sum("handshake" in reason for reason in reasons) == 2
    silent.close()
    await other.close()
    with pytest.raises(ConnectError, match="no way leads"):
        await dial([], secure)


async def test_losers_are_closed_even_if_they_had_won() -> None:
    made: list[Recording] = []

    def way(name: str, ready: asyncio.Event) -> Way:
        async def connect() -> Carrier:
            await ready.wait()
            left, right = memory_pair()
            right.start(seen := Recording())
            made.append(seen)
            left.description = name
            return left

        return Way(Medium.MEMORY, name, connect)

    async def at_once(carrier: Carrier) -> SecureStream:
        stream = SecureStream(carrier, None)  # type: ignore[arg-type]  # no handshake wanted
        carrier.start(Recording())
        return stream

    both = asyncio.Event()
    racing = asyncio.ensure_future(dial([way("a", both), way("b", both)], at_once, stagger=0.0))
    for _ in range(5):
        await asyncio.sleep(0)
    both.set()
    stream = await racing
    assert stream.description == "a"
    await made[1].call("lost")
    assert made[0].calls == []
    stream.abort()


async def test_a_way_waits_for_a_better_one_that_runs_and_no_longer() -> None:
    begun: list[str] = []
    fail = asyncio.Event()

    def way(name: str, *, behind: tuple[str, float] = ("", 0.0)) -> Way:
        async def connect() -> Carrier:
            begun.append(name)
            if name == "last":
                fail.set()
            await fail.wait()
            raise ConnectError("no")

        return Way(Medium.MEMORY, name, connect, behind=behind)

    loop = asyncio.get_running_loop()
    ways = [way("better"), way("other"), way("last", behind=("better", 1000.0))]
    racing = asyncio.ensure_future(dial(ways, secure, stagger=0.0))
    while begun != ["better", "other"]:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    fail.set()
    with pytest.raises(ConnectError):
        await racing
    assert begun == ["better", "other", "last"]
    fail.clear()
    started = loop.time()
    with pytest.raises(ConnectError):
        await dial([way("better"), way("last", behind=("better", 0.05))], secure, stagger=0.0)
    assert loop.time() - started >= 0.05


async def test_a_cancelled_dial_leaves_nothing_running(bob: Listening) -> None:
    running: set[str] = set()

    def way(name: str) -> Way:
        async def connect() -> Carrier:
            running.add(name)
            try:
                await asyncio.Event().wait()
            finally:
                running.discard(name)
            raise AssertionError

        return Way(Medium.MEMORY, name, connect)

    racing = asyncio.ensure_future(dial([way("a"), way("b")], secure, stagger=0.0))
    while len(running) < 2:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert not running
    assert not bob.tasks


async def test_a_mistake_of_ours_is_not_taken_for_a_path(bob: Listening) -> None:
    async def broken() -> Carrier:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await dial([Way(Medium.MEMORY, "broken", broken)], secure)
    assert issubclass(ConnectError, NetError)
    assert not bob.tasks


async def test_what_a_peer_announces_is_tried_up_to_a_limit(quic: QuicPort) -> None:
    ways = ways_to([("192.0.2.1", port) for port in range(1, 100)], quic)
    assert len(ways) == MAX_WAYS
    assert [way.name for way in ways[:3]] == [
        "tcp 192.0.2.1:1",
        "quic 192.0.2.1:1",
        "tcp 192.0.2.1:2",
    ]
    assert [way.medium for way in ways[:2]] == [Medium.TCP, Medium.QUIC]
    assert [way.name for way in ways_to([("::1", 1)])] == ["tcp [::1]:1"]
    made: Callable[[], Awaitable[Carrier]] = ways[0].connect
    assert callable(made)
