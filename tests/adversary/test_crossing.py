"""What a peer can do to a node by proposing TCP: have it connect to the peer's own host, seldom.

The peer has a host of its own here, 127.0.0.2, and one that is not his, 127.0.0.3. Whatever he
proposes, the stream that he has already goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from feedlog import KeyPair, Store
from net.addresses import Address, parse_address
from net.carriers import Carrier, simultaneous
from net.carriers.quic import QuicPort
from net.carriers.tcp_listener import listen_tcp
from net.carriers.udp import UdpSocket
from net.errors import NetError
from net.node import Node
from net.punch.messages import PORTS_SIZE, Ports, encode_ports
from net.reaching.crossing import MAX_CROSSINGS, PROTOCOL, Crossings
from net.reaching.streams import PROTOCOL as STREAMS
from net.secure.opening import open_stream
from net.secure.stream import SecureStream
from tests.reference.relays import until

HIS, ANOTHERS = "127.0.0.2", "127.0.0.3"


class Peer:
    """A peer with a plain stream to a node, who proposes what he likes."""

    def __init__(self, node: Node, udp: UdpSocket, stack: AsyncExitStack) -> None:
        self.key_pair = KeyPair.generate()
        self.node = node
        self.udp = udp.addresses[0][1]
        self._quic = QuicPort(udp)
        self._stack = stack
        stack.callback(udp.close)
        stack.callback(self._quic.close)

    async def stream(self, protocol: str, key_pair: KeyPair | None = None) -> SecureStream:
        carrier = await self._quic.connect(parse_address(self.node.address))
        key_pair = key_pair or self.key_pair
        made = await open_stream(carrier, key_pair, self.node.public_key, protocol=protocol)
        self._stack.callback(made.abort)
        return made

    async def listen(self, host: str) -> tuple[Address, list[Carrier]]:
        came: list[Carrier] = []

        def accepted(carrier: Carrier) -> None:
            came.append(carrier)
            self._stack.callback(carrier.abort)

        listener = await listen_tcp(accepted, host)
        self._stack.callback(listener.close)
        return listener.addresses[0], came

    async def propose(self, data: bytes) -> bytes:
        """Say something in a stream for it; return what the node says before it hangs up."""
        stream = await self.stream(PROTOCOL)
        stream.write(data)
        answer = await stream.read()
        stream.abort()
        return answer


@pytest.fixture
async def peer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Peer]:
    async def echo(stream: SecureStream) -> None:
        while data := await stream.read(100):
            stream.write(data)

    monkeypatch.setattr(simultaneous, "MIN_PAUSE", 0.0)
    monkeypatch.setattr("net.reaching.crossing.REST", 0.0)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store.memory())
        node = await stack.enter_async_context(Node(store, host="127.0.0.1"))
        await node.listen(echo)
        yield Peer(node, await UdpSocket.open(HIS), stack)


async def works(stream: SecureStream) -> bool:
    stream.write(b"still there?")
    return await stream.readexactly(12) == b"still there?"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def crossings_of(node: Node) -> Crossings:
    assert node._parts is not None
    return node._parts.reach.crossings


async def test_who_has_no_stream_is_not_heard(peer: Peer) -> None:
    with pytest.raises(NetError):
        await peer.stream(PROTOCOL)
    stream = await peer.stream(STREAMS)
    assert await works(stream)
    with pytest.raises(NetError):
        await peer.stream(PROTOCOL, KeyPair.generate())


async def test_a_proposal_is_no_reason_for_another(peer: Peer) -> None:
    """Who is not let in any more, and has no stream left, cannot stay by proposing."""
    stream = await peer.stream(STREAMS)
    assert await works(stream)
    proposal = await peer.stream(PROTOCOL)
    assert len(await proposal.readexactly(PORTS_SIZE)) == PORTS_SIZE
    stream.close()
    await stream.wait_closed()
    with pytest.raises(NetError):
        await peer.stream(PROTOCOL)


async def test_only_the_host_that_speaks_is_connected_to(peer: Peer) -> None:
    stream = await peer.stream(STREAMS)
    assert await works(stream)
    address, came = await peer.listen(ANOTHERS)
    told = await peer.propose(encode_ports(Ports(peer.udp, address[1])))
    assert len(told) == PORTS_SIZE
    own, came_to_him = await peer.listen(HIS)
    await peer.propose(encode_ports(Ports(peer.udp, own[1])))
    await until(lambda: came_to_him)
    assert came == []
    assert await works(stream)


@pytest.mark.parametrize(
    "said", [b"", b"\x00", bytes(PORTS_SIZE), b"\xff" * 100, encode_ports(Ports(9, 4000))]
)
async def test_nonsense_ends_the_proposal_only(peer: Peer, said: bytes) -> None:
    stream = await peer.stream(STREAMS)
    assert await works(stream)
    proposal = await peer.stream(PROTOCOL)
    proposal.write(said)
    proposal.write_eof()
    assert len(await proposal.read()) == PORTS_SIZE
    assert await works(stream)


async def test_proposals_without_a_connection_leave_nothing_behind(peer: Peer) -> None:
    stream = await peer.stream(STREAMS)
    assert await works(stream)
    before = open_files()
    for port in range(1024, 1034):
        assert await peer.propose(encode_ports(Ports(peer.udp, port)))
        await until(lambda: not crossings_of(peer.node)._tried)
    assert open_files() <= before
    assert await works(stream)


async def test_a_flood_of_proposals_brings_one_connection(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # a second's rest
    stream = await peer.stream(STREAMS)
    assert await works(stream)
    address, came = await peer.listen(HIS)
    ports = encode_ports(Ports(peer.udp, address[1]))
    answers = await asyncio.gather(*(peer.propose(ports) for _ in range(20)))
    await until(lambda: came)
    assert len(came) == sum(bool(answer) for answer in answers) == 1
    assert await works(stream)


async def test_peers_together_take_so_many_sockets(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("net.reaching.crossing.MAX_CROSSINGS", 3)
    answered = []
    for _ in range(5):
        peer.key_pair = KeyPair.generate()
        assert await works(await peer.stream(STREAMS))
        proposal = await peer.stream(PROTOCOL)
        answered.append(len(await proposal.read(PORTS_SIZE)))
    assert answered == [PORTS_SIZE] * 3 + [0] * 2
    assert len(crossings_of(peer.node)._tried) == 3


async def test_a_host_of_many_keys_leaves_places_to_others(peer: Peer) -> None:
    answered = 0
    for _ in range(MAX_CROSSINGS):
        peer.key_pair = KeyPair.generate()
        assert await works(await peer.stream(STREAMS))
        answered += len(await (await peer.stream(PROTOCOL)).read(PORTS_SIZE)) > 0
    assert 0 < answered < MAX_CROSSINGS
    async with AsyncExitStack() as stack:
        other = Peer(peer.node, await UdpSocket.open(ANOTHERS), stack)
        assert await works(await other.stream(STREAMS))
        proposal = await other.stream(PROTOCOL)
        assert len(await proposal.readexactly(PORTS_SIZE)) == PORTS_SIZE
