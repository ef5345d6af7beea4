"""What a hostile or broken peer can do to the channels of a stream.

End the stream, or its own channels: never raise anything but `PeerError`, never make
memory grow beyond the limits, never learn or open a feed whose key it does not hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog.hashing import discovery_key
from net.carriers import memory_pair
from net.carriers.memory import MemoryCarrier
from net.channels import Channel, ChannelClosed, ChannelMessage, ChannelOpened, Mux, PeerReady
from net.channels import messages as m
from net.channels.channel import MAX_MESSAGE
from net.channels.mux import MAX_CONTROL_BACKLOG
from net.channels.table import MAX_CHANNELS, MAX_REQUESTS
from net.channels.window import INITIAL_WINDOW, STREAM_BUDGET
from net.errors import LimitError, NetError, PeerError, ProtocolError
from net.hashing import capability
from net.secure.opening import accept_stream, open_stream
from net.sharing.connection import Connection
from tests.reference.wire import ALICE, BOB, HANDSHAKE_HASH, mux_events, mux_pair, pump_mux, sent_by

KEY = bytes(range(32))
NAME = discovery_key(KEY)
HELLO = m.encode_control(m.Hello(1, 1))


def victim() -> Mux:
    """A mux on the responding side that has heard hello."""
    mux = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    mux.receive_data(HELLO, 0.0)
    assert mux_events(mux) == [PeerReady(1, ())]
    return mux


def proof(key: bytes = KEY, stream: bytes = HANDSHAKE_HASH, initiator: bool = True) -> bytes:
    return capability(key, stream, initiator)


def open_frame(number: int, protocol: str = "proto", proven: bytes | None = None) -> bytes:
    return m.encode_control(
        m.Open(number, NAME, protocol, proof() if proven is None else proven, 1 << 20)
    )


def data_frame(number: int, payload: bytes, flags: int = 0) -> bytes:
    return m.DATA_FRAME.pack(m.DATA_BODY.size + len(payload), m.DATA, number, flags) + payload


def opened() -> tuple[Mux, Channel]:
    """A victim with one open channel, which the peer calls 0."""
    mux = victim()
    channel = mux.open(KEY, "proto")
    mux.receive_data(open_frame(0), 0.0)
    assert mux_events(mux) == [ChannelOpened(channel)]
    return mux, channel


def raw(*fields: object) -> bytes:
    body = msgspec.msgpack.encode(fields)
    return m.FRAME.pack(len(body), m.CONTROL) + body


# --- keys that the peer does not hold ------------------------------------------------------------


WRONG_PROOFS: dict[str, Callable[[], bytes]] = {
    "of another key": lambda: proof(key=bytes(32)),
    "of another stream": lambda: proof(stream=bytes(64)),
    "of our own, reflected": lambda: proof(initiator=False),
    "made up": lambda: bytes(32),
}


@pytest.mark.parametrize("kind", WRONG_PROOFS)
def test_a_wrong_proof_in_answer_to_our_open(kind: str) -> None:
    mux = victim()
    channel = mux.open(KEY, "proto")
    with pytest.raises(ProtocolError, match="without holding its key") as caught:
        mux.receive_data(open_frame(0, proven=WRONG_PROOFS[kind]()), 0.0)
    assert caught.value.code == "capability"
    assert not channel.is_open
    with pytest.raises(ProtocolError):
        mux.receive_data(b"", 0.0)


@pytest.mark.parametrize("kind", WRONG_PROOFS)
def test_a_wrong_proof_in_a_request(kind: str) -> None:
    mux = victim()
    mux.receive_data(open_frame(0, proven=WRONG_PROOFS[kind]()), 0.0)
    sent_by(mux)
    with pytest.raises(ProtocolError, match="without holding its key"):
        mux.open(KEY, "proto")
    assert sent_by(mux) == b""  # not even our proof


def test_our_open_shows_neither_the_key_nor_a_proof_that_others_can_use() -> None:
    mux = victim()
    mux.open(KEY, "proto")
    sent = sent_by(mux)
    assert KEY not in sent
    assert proof() not in sent
    assert proof(initiator=False) in sent


def test_a_proof_is_for_its_own_stream() -> None:
    left, _ = mux_pair()
    left.open(KEY, "proto")
    recorded = sent_by(left)
    elsewhere = Mux(initiator=False, handshake_hash=bytes(64), now=0.0)
    elsewhere.open(KEY, "proto")
    with pytest.raises(ProtocolError, match="without holding its key"):
        elsewhere.receive_data(recorded, 0.0)


# --- broken rules --------------------------------------------------------------------------------


BROKEN: dict[str, bytes] = {
    "a second hello": HELLO,
    "data without a channel": data_frame(7, b"x"),
    "data on a channel only asked for": open_frame(1, "other") + data_frame(1, b"x"),
    "data without bytes": data_frame(0, b""),
    "a data frame cut short": m.FRAME.pack(4, m.DATA) + bytes(4),
    "an open with a used number": open_frame(0, "other"),
    "an open of an open name": open_frame(1),
    "two opens of one name": open_frame(1, "other") + open_frame(2, "other"),
    "a reject of an open channel": m.encode_control(m.Reject(0)),
    "a reject of nothing": m.encode_control(m.Reject(9)),
    "a close of nothing": m.encode_control(m.Close(9)),
    "credit for nothing": m.encode_control(m.Credit(9, 1)),
    "too much credit": m.encode_control(m.Credit(0, m.MAX_CREDIT)),
    "garbage": m.FRAME.pack(3, m.CONTROL) + b"\xc1\xc1\xc1",
    "a message too large": m.FRAME.pack(5000, m.CONTROL) + bytes(5000),
    "a message with a field too large": raw(2, 0, "r" * 200),
    "bytes that are no text": m.FRAME.pack(5, m.CONTROL) + b"\x93\x02\x00\xa1\xff",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_rule_ends_the_stream(what: str) -> None:
    mux, _ = opened()
    with pytest.raises(PeerError):
        mux.receive_data(BROKEN[what], 0.0)
    with pytest.raises(PeerError):  # for good
        mux.receive_data(m.encode_control(m.Ping(1)), 0.0)


@pytest.mark.parametrize("first", [open_frame(0), data_frame(0, b"x"), raw(5, 1), raw(99)])
def test_hello_comes_first(first: bytes) -> None:
    mux = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    with pytest.raises(ProtocolError, match="before hello"):
        mux.receive_data(first, 0.0)


@pytest.mark.parametrize(("version", "minimum"), [(0, 0), (9, 2)])
def test_versions_that_do_not_meet(version: int, minimum: int) -> None:
    mux = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    with pytest.raises(ProtocolError, match="peer speaks versions") as caught:
        mux.receive_data(m.encode_control(m.Hello(version, minimum)), 0.0)
    assert caught.value.code == "version"


def test_a_newer_peer_is_understood_as_far_as_possible() -> None:
    mux = Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    mux.receive_data(raw(0, 7, 1, ["dancing"], "unknown field"), 0.0)
    mux.receive_data(raw(50, {"unknown": "message"}), 0.0)
    mux.receive_data(m.FRAME.pack(4, 77) + b"kind", 0.0)
    channel = mux.open(KEY, "proto")
    mux.receive_data(raw(1, 0, NAME, "proto", proof(), 100, "unknown field"), 0.0)
    mux.receive_data(data_frame(0, b"hello", flags=0xF0), 0.0)
    assert mux_events(mux) == [
        PeerReady(1, ("dancing",)),
        ChannelOpened(channel),
        ChannelMessage(channel, b"hello", urgent=False),
    ]


# --- credit and memory ---------------------------------------------------------------------------


def test_bytes_beyond_the_credit() -> None:
    mux, channel = opened()
    piece = bytes(m.MAX_PAYLOAD)
    with pytest.raises(ProtocolError, match="bytes of credit") as caught:  # noqa: PT012 - a flood
        for _ in range(100):
            mux.receive_data(data_frame(0, piece), 0.0)
    assert caught.value.code == "credit"
    assert channel.window.buffered <= INITIAL_WINDOW


def test_a_message_that_never_ends() -> None:
    mux, channel = opened()
    piece = bytes(m.MAX_PAYLOAD)
    with pytest.raises(LimitError, match="more than 16777216 bytes") as caught:  # noqa: PT012 - a flood
        while True:
            mux.receive_data(data_frame(0, piece, m.MORE), 0.0)
            sent_by(mux)
    assert caught.value.limit == MAX_MESSAGE
    assert channel.window.buffered <= MAX_MESSAGE + len(piece)


def test_messages_that_never_end_on_every_channel() -> None:
    """Those that would need more than the stream's budget are closed; the rest goes on."""
    mux = victim()
    channels = {}
    for number in range(40):
        channels[number] = mux.open(KEY, f"p{number}")
        mux.receive_data(open_frame(number, f"p{number}"), 0.0)
    mux_events(mux)
    closed: set[Channel] = set()
    for turn in range(1, 200):
        for number, channel in channels.items():
            size = min(channel.window.outstanding, m.MAX_PAYLOAD)
            if channel.is_open and size and channel.partial + size <= MAX_MESSAGE:
                mux.receive_data(data_frame(number, bytes(size), m.MORE), turn * 1000.0)
        sent_by(mux)
        closed |= {event.channel for event in mux_events(mux) if isinstance(event, ChannelClosed)}
        held = sum(channel.partial for channel in channels.values())
        assert held <= mux._table.budget.taken <= STREAM_BUDGET
    assert 0 < len(closed) < len(channels)


def test_fragments_of_one_byte_cost_about_a_byte() -> None:
    mux, channel = opened()
    flood = data_frame(0, b"x", m.MORE) * 5000
    for _ in range(10):
        mux.receive_data(flood, 0.0)
        sent_by(mux)
    assert channel.partial == 50_000
    assert len(channel._receiving[0]._parts) == 1


def test_a_flood_of_requests() -> None:
    mux = victim()
    for number in range(3 * MAX_REQUESTS):
        mux.receive_data(open_frame(number, f"p{number}"), 0.0)
    assert len(mux._table.requests) == MAX_REQUESTS
    assert len(mux_events(mux)) == MAX_REQUESTS


def test_a_peer_that_opens_all_channels_and_one_more() -> None:
    mux = victim()
    for number in range(MAX_CHANNELS):
        mux.receive_data(open_frame(number, f"p{number}"), 0.0)
        mux.open(KEY, f"p{number}")
    mux.receive_data(open_frame(MAX_CHANNELS, "one more"), 0.0)
    assert not mux._table.requests
    assert mux._table.budget.taken <= STREAM_BUDGET


@pytest.mark.parametrize("what", ["pings", "opens"])
def test_a_peer_that_makes_us_answer_and_reads_nothing(what: str) -> None:
    mux = victim()
    pings = m.encode_control(m.Ping(1)) * 1000
    with pytest.raises(LimitError, match="peer reads none"):  # noqa: PT012 - a flood
        for number in range(MAX_CONTROL_BACKLOG):
            flood = pings if what == "pings" else open_frame(number, f"p{number}")
            mux.receive_data(flood, 0.0)
    assert mux._control_size <= MAX_CONTROL_BACKLOG


def test_a_peer_that_reads_nothing_is_found_by_the_clock_too() -> None:
    mux = victim()
    mux._control_size = MAX_CONTROL_BACKLOG
    mux.open(KEY, "proto")
    with pytest.raises(LimitError):
        mux.handle_timeout(1.0)


def test_credit_in_single_bytes_moves_single_bytes() -> None:
    mux, channel = opened()
    channel.credit = 0
    channel.send(bytes(100), urgent=True)
    sent_by(mux)
    for _ in range(100):
        mux.receive_data(m.encode_control(m.Credit(0, 1)), 0.0)
        assert len(sent_by(mux)) == m.DATA_FRAME.size + 1
    assert channel.queued == 0


# --- noise ---------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=200), max_size=10), st.booleans())
def test_random_bytes_raise_only_peer_errors(pieces: list[bytes], greeted: bool) -> None:
    mux = victim() if greeted else Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=0.0)
    with contextlib.suppress(PeerError):
        for piece in pieces:
            mux.receive_data(piece, 0.0)
            mux_events(mux)
            sent_by(mux)


CONTROLS = st.one_of(
    st.builds(m.Hello, st.integers(0, 3), st.integers(0, 3)),
    st.builds(
        m.Open,
        st.integers(0, 5),
        st.just(NAME),
        st.sampled_from("abc"),
        st.sampled_from([proof(), bytes(32)]),
        st.sampled_from([0, 1000, m.MAX_CREDIT]),
    ),
    st.builds(m.Reject, st.integers(0, 5)),
    st.builds(m.Close, st.integers(0, 5)),
    st.builds(m.Credit, st.integers(0, 5), st.sampled_from([0, 1000, m.MAX_CREDIT])),
    st.builds(m.Ping, st.integers(0, 5)),
    st.builds(m.Pong, st.integers(0, 5)),
    st.builds(m.Goodbye),
)


@given(
    st.lists(
        st.one_of(
            CONTROLS.map(m.encode_control),
            st.builds(
                data_frame,
                st.integers(0, 5),
                st.integers(0, 100_000).map(bytes).map(lambda data: data[: m.MAX_PAYLOAD]),
                st.integers(0, 7),
            ),
            st.tuples(st.sampled_from(["open", "close", "send", "reject"]), st.sampled_from("abc")),
        ),
        max_size=40,
    )
)
def test_well_formed_nonsense_raises_only_peer_errors(
    steps: list[bytes | tuple[str, str]],
) -> None:
    mux = victim()
    with contextlib.suppress(PeerError):
        for step in steps:
            if isinstance(step, bytes):
                mux.receive_data(step, 0.0)
            else:
                act(mux, *step)
            mux_events(mux)
            sent_by(mux)
            assert mux._table.budget.taken <= STREAM_BUDGET


def act(mux: Mux, what: str, name: str) -> None:
    """Do something that our own side may do."""
    channel = mux.find(KEY, name)
    if what == "open" and channel is None and not mux._left:
        mux.open(KEY, name)
    elif what == "reject":
        mux.reject(NAME, name)
    elif channel is not None and what == "close":
        channel.close()
    elif channel is not None and what == "send" and channel.writable:
        channel.send(bytes(1000))


@given(st.integers(0, 2**32))
def test_mutated_conversations_raise_only_peer_errors(seed: int) -> None:
    choice = random.Random(seed)
    left, right = mux_pair()
    for name in "ab":
        left.open(KEY, name)
        right.open(KEY, name)
    pump_mux(left, right)
    for channel in left.channels:
        channel.send(choice.randbytes(3000))
        channel.send(b"urgent", urgent=True)
        if choice.random() < 0.3:
            channel.close()
    conversation = bytearray(sent_by(left))
    for _ in range(choice.randrange(1, 4)):
        if conversation:
            conversation[choice.randrange(len(conversation))] = choice.randrange(256)
    with contextlib.suppress(PeerError):
        right.receive_data(bytes(conversation), 0.0)
    mux_events(right)


# --- the whole connection ------------------------------------------------------------------------


class Handler:
    def __init__(self) -> None:
        self.closed: list[str] = []
        self.received = 0

    def channel_opened(self, channel: Channel) -> None:
        channel.send(bytes(1000))

    def message_received(self, channel: Channel, data: bytes, urgent: bool) -> None:
        self.received += len(data)
        channel.consume(len(data))
        channel.send(data, urgent=urgent)

    def channel_drained(self, channel: Channel) -> None: ...

    def channel_closed(self, channel: Channel, reason: str) -> None:
        self.closed.append(f"{channel.protocol}: {reason}")


def cut_after(carrier: MemoryCarrier, writes: int) -> None:
    """Let the carrier die at a write."""
    write, left = carrier.write, [writes]

    def counted(data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            carrier.abort()
        else:
            write(data)

    carrier.write = counted  # type: ignore[method-assign]  # the wire is what is tested


@pytest.mark.parametrize("writes", range(16))
@pytest.mark.parametrize("side", [0, 1])
async def test_a_connection_cut_at_every_point(side: int, writes: int) -> None:
    """Whoever is left says why, each channel is told once, and nothing is left waiting."""
    carriers = memory_pair()
    cut_after(carriers[side], writes)
    streams = await asyncio.gather(
        open_stream(carriers[0], ALICE, BOB.public_key),
        accept_stream(carriers[1], BOB),
        return_exceptions=True,
    )
    handlers = [Handler(), Handler()]
    connections: list[Connection] = []
    for stream, handler in zip(streams, handlers, strict=True):
        if isinstance(stream, BaseException):
            assert isinstance(stream, NetError)
            continue
        connection = Connection(stream)
        connections.append(connection)
        with contextlib.suppress(NetError):
            connection.open(KEY, "proto", handler)
    if len(connections) < 2:
        for connection in connections:
            connection.close()
    for connection in connections:
        await connection.wait_closed()
        assert connection.is_closing
        assert not [channel for channel in connection.mux.channels if channel.is_open]
    for handler in handlers:
        assert len(handler.closed) <= 1
    if len(connections) == 2:
        assert any(connection.error is not None for connection in connections)
