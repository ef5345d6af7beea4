from __future__ import annotations

import asyncio

import pytest

from feedlog.hashing import discovery_key
from net.carriers import memory_pair
from net.channels import Channel
from net.channels.liveness import DEAD_AFTER, SILENT_AFTER
from net.errors import ClosedError, DeadlineError, ProtocolError
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL, Connection
from tests.reference.wire import ALICE, BOB

KEY = bytes(range(32))


class Handler:
    """Remembers what its channel is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.calls: list[str] = []
        self.reason = ""
        self._changed = asyncio.Event()

    def channel_opened(self, channel: Channel) -> None:
        self._note("opened")
        assert channel.is_open

    def message_received(self, channel: Channel, data: bytes, urgent: bool) -> None:
        self.messages.append(data)
        channel.consume(len(data))
        self._note("urgent" if urgent else "message")

    def channel_drained(self, channel: Channel) -> None:
        self._note("drained")
        assert channel.writable

    def channel_closed(self, channel: Channel, reason: str) -> None:
        self.reason = reason
        self._note("closed")
        assert not channel.is_open

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._changed.set()

    async def call(self, name: str, times: int = 1) -> None:
        while self.calls.count(name) < times:
            self._changed.clear()
            await self._changed.wait()


async def stream_pair() -> tuple[SecureStream, SecureStream]:
    left, right = memory_pair()
    return await asyncio.gather(
        open_stream(left, ALICE, BOB.public_key, protocol=PROTOCOL),
        accept_stream(right, BOB),
    )


class Pair:
    """Two connections; the right one agrees to whatever is asked about KEY."""

    def __init__(self, streams: tuple[SecureStream, SecureStream]) -> None:
        self.handler = Handler()
        self.silent: list[Connection] = []
        self.closed: list[Connection] = []
        self.left = Connection(
            streams[0], features=["walk"], silent=self.silent.append, closed=self.closed.append
        )
        self.right = Connection(streams[1], requested=self.agree, closed=self.closed.append)

    def agree(self, connection: Connection, name: bytes, protocol: str) -> None:
        if name == discovery_key(KEY):
            connection.open(KEY, protocol, self.handler)
        else:
            connection.reject(name, protocol, "unknown feed")

    async def end(self) -> None:
        self.left.close()
        await self.left.wait_closed()
        await self.right.wait_closed()


@pytest.fixture
async def pair() -> Pair:
    return Pair(await stream_pair())


async def test_a_channel_from_open_to_close(pair: Pair) -> None:
    handler = Handler()
    channel = pair.left.open(KEY, "proto", handler)
    await handler.call("opened")
    await pair.handler.call("opened")
    await pair.right.wait_ready()
    assert pair.right.features == ("walk",)
    assert pair.left.remote_key == BOB.public_key
    assert BOB.public_key.hex()[:16] in repr(pair.left)
    channel.send(b"hello")
    await pair.handler.call("message")
    assert pair.handler.messages == [b"hello"]
    assert pair.left.round_trip is not None
    channel.close("done")
    await pair.handler.call("closed")
    assert pair.handler.reason == "done"
    assert "closed" not in handler.calls
    await pair.end()
    assert pair.left.error is pair.right.error is None
    assert set(pair.closed) == {pair.left, pair.right}


async def test_what_nobody_serves_is_refused(pair: Pair) -> None:
    handlers = [Handler(), Handler()]
    pair.left.open(bytes(32), "proto", handlers[0])
    pair.right.open(bytes(32), "other", handlers[1])
    for handler in handlers:
        await handler.call("closed")
    assert [handler.reason for handler in handlers] == ["unknown feed", "not served"]
    await pair.end()


async def test_bulk_moves_and_drains_while_urgent_overtakes(pair: Pair) -> None:
    handler = Handler()
    channel = pair.left.open(KEY, "proto", handler)
    await handler.call("opened")
    for _ in range(8):
        channel.send(bytes(4 << 20))
    assert not channel.writable
    channel.send(b"now", urgent=True)
    await handler.call("drained")
    await pair.handler.call("message", 8)
    assert pair.handler.calls.index("urgent") <= 1
    assert sum(map(len, pair.handler.messages)) == 8 * (4 << 20) + 3
    await pair.end()


async def test_the_end_of_a_connection_ends_its_channels(pair: Pair) -> None:
    handler = Handler()
    channel = pair.left.open(KEY, "proto", handler)
    await handler.call("opened")
    await pair.handler.call("opened")
    pair.right.close("maintenance")
    pair.right.close("twice")
    await handler.call("closed")
    await pair.handler.call("closed")
    assert handler.reason == "maintenance"
    with pytest.raises(ClosedError):
        channel.send(b"x")
    with pytest.raises(ClosedError):
        pair.left.open(KEY, "proto", handler)
    await pair.left.wait_closed()
    assert pair.left.is_closing


async def test_a_cut_is_an_error(pair: Pair) -> None:
    handler = Handler()
    pair.left.open(KEY, "proto", handler)
    await handler.call("opened")
    pair.right.stream.abort()
    await handler.call("closed")
    assert "was cut" in handler.reason
    assert isinstance(pair.left.error, ClosedError)


async def test_a_request_without_the_key_ends_the_connection() -> None:
    ours, theirs = await stream_pair()
    asked = asyncio.Event()
    liar, honest = Connection(ours), Connection(theirs, requested=lambda *_: asked.set())
    await honest.wait_ready()
    liar.mux._table._handshake_hash = bytes(64)  # so its proof is for another stream
    liar.open(KEY, "proto", Handler())
    await asked.wait()
    with pytest.raises(ProtocolError, match="without holding its key"):
        honest.open(KEY, "proto", Handler())
    assert isinstance(honest.error, ProtocolError)
    assert honest.error.code == "capability"
    await honest.wait_closed()
    await liar.wait_closed()


async def test_garbage_ends_the_connection_and_not_the_program() -> None:
    ours, theirs = await stream_pair()
    connection = Connection(theirs)
    ours.write(b"\x01\x00\x00\xc1")
    await connection.wait_closed()
    assert isinstance(connection.error, ProtocolError)
    with pytest.raises(ProtocolError):
        await connection.wait_ready()
    ours.close()


async def test_what_a_handler_finds_wrong_ends_the_connection(pair: Pair) -> None:
    class Strict(Handler):
        def message_received(self, channel: Channel, data: bytes, urgent: bool) -> None:
            raise ProtocolError(f"{channel.protocol}: {data!r} {urgent}", code="nonsense")

    pair.handler = Strict()
    handler = Handler()
    channel = pair.left.open(KEY, "proto", handler)
    await handler.call("opened")
    channel.send(b"??")
    await handler.call("closed")
    assert handler.reason == "nonsense"
    assert isinstance(pair.right.error, ProtocolError)
    await pair.right.wait_closed()


async def test_a_dead_peer_is_noticed(pair: Pair) -> None:
    await pair.left.wait_ready()
    pair.left.mux._liveness.heard_at -= DEAD_AFTER
    pair.left._on_timeout()
    assert isinstance(pair.left.error, DeadlineError)
    await pair.left.wait_closed()


async def test_a_peer_that_is_doubted_is_asked_at_once(pair: Pair) -> None:
    await pair.left.wait_ready()
    liveness = pair.left.mux._liveness
    token = liveness._token
    pair.left.doubt()
    assert liveness._token == token + 1
    handler = Handler()
    pair.left.open(KEY, "proto", handler)
    await handler.call("opened")  # whose answer comes behind the pong
    await pair.end()
    pair.left.doubt()
    assert liveness._token == token + 1


async def test_a_silent_peer_is_told_of_and_may_still_answer(pair: Pair) -> None:
    await pair.left.wait_ready()
    liveness = pair.left.mux._liveness
    liveness.heard_at -= 2 * SILENT_AFTER
    pair.left.doubt()
    liveness._asked_at -= SILENT_AFTER
    pair.left._on_timeout()
    assert pair.silent == [pair.left]
    handler = Handler()
    pair.left.open(KEY, "proto", handler)
    await handler.call("opened")
    assert not pair.left.is_silent
    assert pair.closed == []
    await pair.end()


async def test_a_quiet_peer_is_asked(pair: Pair) -> None:
    await pair.left.wait_ready()
    token = pair.left.mux._liveness._token
    pair.left.mux._liveness.heard_at -= DEAD_AFTER / 2
    pair.left.mux._liveness._pinged_at = None
    pair.left._on_timeout()
    assert pair.left.mux._liveness._token == token + 1
    handler = Handler()
    pair.left.open(KEY, "proto", handler)
    await handler.call("opened")  # whose answer comes behind the pong
    assert vars(pair.left.mux._liveness)["_pinged_at"] is None
    await pair.end()


@pytest.mark.parametrize("writes", [False, True], ids=["reading", "writing"])
async def test_damage_on_the_way_is_not_the_peers_fault(pair: Pair, writes: bool) -> None:
    await pair.right.wait_ready()
    stream = pair.right.stream
    damage = ProtocolError("record 7 is not authentic", code="not-authentic")
    stream.lines.written.carrier.abort()
    stream.line_failed(stream.lines.written, damage)
    if writes:
        pair.right._write([b"too late"])
    await pair.right.wait_closed()
    assert isinstance(pair.right.error, ClosedError)
    assert "not authentic" in str(pair.right.error)
    pair.left.close()
    await pair.left.wait_closed()
