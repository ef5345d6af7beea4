"""Moving live streams: under load, at any moment, and with either carrier cut at any moment."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from feedlog.keys import KeyPair
from net.carriers import Carrier, connect_tcp, listen_tcp, memory_pair
from net.errors import ClosedError, NetError, ProtocolError, RefusedError
from net.hashing import moving_key, moving_name, moving_proof
from net.noise.records import RecordSealer
from net.secure.moving import PROTOCOL, Moves
from net.secure.opening import accept_stream, open_stream
from net.secure.reader import READ_HIGH
from net.secure.stream import SecureStream
from net.sharing.connection import Connection
from tests.reference.quic import quic_pair
from tests.reference.relays import RelayBed, streams_between, until
from tests.reference.wire import ALICE, BOB, EVE

ROOT = Path(__file__).parents[3]

Pair = tuple[SecureStream, SecureStream]


async def secure(near: Carrier, far: Carrier, keys: tuple[KeyPair, KeyPair] = (ALICE, BOB)) -> Pair:
    return await asyncio.gather(
        open_stream(near, keys[0], keys[1].public_key, protocol=PROTOCOL),
        accept_stream(far, keys[1]),
    )


class Ends:
    """Both ends of a stream, and what each node knows of its streams."""

    def __init__(self, streams: Pair) -> None:
        self.streams = streams
        self.moves = (Moves(), Moves())
        for moves, stream in zip(self.moves, streams, strict=True):
            moves.add(stream)
        self.accepting: list[asyncio.Future[None]] = []

    async def move(self, onto: Pair, mover: int = 0) -> None:
        """Move to another line; `mover` is the side that proposes."""
        other = 1 - mover
        self.accepting.append(asyncio.ensure_future(self.moves[other].accept(onto[other])))
        await self.moves[mover].move(self.streams[mover], onto[mover])

    async def settle(self) -> None:
        """End both, and see that nothing is left."""
        for stream in self.streams:
            stream.close()
        await asyncio.gather(*(stream.wait_closed() for stream in self.streams))
        await asyncio.gather(*self.accepting, return_exceptions=True)


async def talk(ends: Pair) -> None:
    for sender, receiver in (ends, ends[::-1]):
        sender.write(b"hello over " + sender.description.encode())
        expected = b"hello over " + sender.description.encode()
        assert await receiver.readexactly(len(expected)) == expected


@pytest.mark.parametrize("mover", [0, 1])
async def test_a_conversation_goes_on(mover: int) -> None:
    carriers, others = memory_pair(), memory_pair(chunk=7)
    others[0].description, others[1].description = "new left", "new right"
    ends = Ends(await secure(*carriers))
    before = ends.streams[0].handshake_hash
    await talk(ends.streams)
    if mover == 0:
        onto = await secure(*others)
    else:
        onto = (await secure(*others[::-1], (BOB, ALICE)))[::-1]
    await ends.move(onto, mover)
    await talk(ends.streams)
    await until(lambda: all(carrier._lost for carrier in carriers))
    assert [stream.description for stream in ends.streams] == ["new left", "new right"]
    assert ends.streams[0].handshake_hash == ends.streams[1].handshake_hash == before
    assert [stream.initiator for stream in ends.streams] == [True, False]
    assert ends.streams[0].remote_key == BOB.public_key
    assert all(not stream.lines.left for stream in ends.streams)
    await ends.settle()
    assert all(stream._error is None for stream in ends.streams)


async def test_a_stream_may_move_again_and_again() -> None:
    ends = Ends(await secure(*memory_pair()))
    for turn in range(5):
        onto = await secure(*memory_pair(chunk=turn + 1))
        await ends.move(onto, turn % 2)
        await talk(ends.streams)
        await until(lambda: not any(stream.lines.left for stream in ends.streams))
    await ends.settle()


class Load:
    """Bytes both ways at full speed; `received` is what each side has got."""

    def __init__(self, ends: Pair, size: int, rng: random.Random) -> None:
        self.data = (rng.randbytes(size), rng.randbytes(size))
        self.received = (bytearray(), bytearray())
        self.whole = [False, False]
        self.failed: list[NetError | None] = [None, None]
        self._rng = rng
        self.tasks = [
            asyncio.ensure_future(task)
            for side in (0, 1)
            for task in (self.send(ends[side], side), self.receive(ends[side], side))
        ]

    async def send(self, stream: SecureStream, side: int) -> None:
        data, sent = self.data[side], 0
        try:
            while sent < len(data):
                step = self._rng.choice([1, 100, 5000, 80_000])
                stream.write(data[sent : sent + step])
                sent += step
                if self._rng.random() < 0.5:
                    await stream.drain()
                else:
                    await asyncio.sleep(0)
            stream.write_eof()
        except NetError as error:
            self.failed[side] = error

    async def receive(self, stream: SecureStream, side: int) -> None:
        try:
            while part := await stream.read(self._rng.choice([1, 3000, 200_000])):
                self.received[side].extend(part)
                if self._rng.random() < 0.1:
                    await asyncio.sleep(0)
            self.whole[side] = True
        except NetError as error:
            self.failed[side] = error

    async def done(self) -> None:
        await asyncio.gather(*self.tasks)

    def check(self) -> None:
        """What came is a beginning of what was sent, and all of it unless an error was seen."""
        for side in (0, 1):
            sent, received = self.data[1 - side], self.received[side]
            assert bytes(received) == sent[: len(received)], "changed, lost or doubled"
            if self.whole[side]:
                assert len(received) == len(sent), "lost without an error"
            else:
                assert self.failed[side] is not None


@pytest.mark.parametrize("seed", range(40))
async def test_under_load_at_a_random_moment(seed: int) -> None:
    rng = random.Random(seed)
    chunk = rng.choice([700, 20_000, 1 << 18])
    ends = Ends(await secure(*memory_pair(chunk=chunk)))
    onto = await secure(*memory_pair(chunk=rng.choice([700, 20_000, 1 << 18])))
    load = Load(ends.streams, 600_000, rng)
    for _ in range(rng.randrange(60)):
        await asyncio.sleep(0)
    try:
        await ends.move(onto, rng.randrange(2))
    except NetError:
        assert any(stream._end_sent or stream._ended for stream in ends.streams)
    await load.done()
    load.check()
    assert load.whole == [True, True]
    await ends.settle()


@pytest.mark.parametrize("which", ["old", "new"])
@pytest.mark.parametrize("seed", range(60))
async def test_a_cut_at_any_moment_is_no_silent_loss(seed: int, which: str) -> None:
    rng = random.Random(f"{seed} {which}")
    old, new = memory_pair(chunk=5000), memory_pair(chunk=5000)
    ends = Ends(await secure(*old))
    onto = await secure(*new)
    load = Load(ends.streams, 300_000, rng)
    for _ in range(rng.randrange(40)):
        await asyncio.sleep(0)
    mover = rng.randrange(2)
    moving = asyncio.ensure_future(ends.move(onto, mover))
    for _ in range(rng.randrange(30)):
        await asyncio.sleep(0)
    rng.choice(old if which == "old" else new).abort()
    (error,) = await asyncio.gather(moving, return_exceptions=True)
    assert error is None or isinstance(error, NetError)
    await load.done()
    load.check()
    if load.whole != [True, True]:
        for stream in ends.streams:
            stream.close()
    await ends.settle()


async def test_a_cut_before_anything_was_agreed_does_no_harm() -> None:
    ends = Ends(await secure(*memory_pair()))
    carriers = memory_pair()
    onto = await secure(*carriers)
    moving = asyncio.ensure_future(ends.moves[0].move(ends.streams[0], onto[0]))
    await asyncio.sleep(0)
    carriers[1].abort()
    with pytest.raises(NetError):
        await moving
    await talk(ends.streams)
    await ends.move(await secure(*memory_pair()))
    await talk(ends.streams)
    await ends.settle()


@pytest.mark.parametrize("kinds", ["tcp to quic", "quic to tcp", "relay to tcp", "relay to quic"])
async def test_with_real_carriers(kinds: str) -> None:
    rng = random.Random(kinds)
    accepted: asyncio.Queue[Carrier] = asyncio.Queue()
    listener = await listen_tcp(accepted.put_nowait, "127.0.0.1")
    tcp = (await connect_tcp(*listener.addresses[0]), await accepted.get())
    bed = RelayBed()
    async with quic_pair() as quic:
        pairs: dict[str, Callable[[], object]] = {"tcp": lambda: tcp, "quic": lambda: quic}
        first, _, second = kinds.split()
        before = await bed.circuit() if first == "relay" else pairs[first]()
        after = pairs[second]()
        assert isinstance(before, tuple)
        assert isinstance(after, tuple)
        ends = Ends(await secure(*before))
        onto = await secure(*after)
        load = Load(ends.streams, 4_000_000, rng)
        await until(lambda: len(load.received[0]) > 500_000)
        await ends.move(onto)
        await load.done()
        load.check()
        assert load.whole == [True, True]
        assert second in ends.streams[0].description
        assert second in ends.streams[1].description
        if first == "relay":
            await until(lambda: not bed.service.circuits)
        await ends.settle()
    bed.close()
    listener.close()
    for carrier in tcp:
        carrier.abort()


async def test_a_reader_that_stops_keeps_memory_bounded_while_it_moves() -> None:
    ends = Ends(await secure(*memory_pair()))
    ours, theirs = ends.streams
    written = 0
    while written < 2 << 20:
        ours.write(bytes(65536))
        written += 65536
        await asyncio.sleep(0)
    onto = await secure(*memory_pair())
    moving = asyncio.ensure_future(ends.move(onto))
    for _ in range(300):
        if not ours._writing_paused and written < 64 << 20:
            ours.write(bytes(65536))
            written += 65536
        await asyncio.sleep(0)
    assert written < 8 << 20
    assert theirs._reader.size < 2 * READ_HIGH + (1 << 20)
    ours.write_eof()
    await moving
    assert set(await theirs.read()) == {0}
    await ends.settle()


@pytest.mark.parametrize("ender", [0, 1])
async def test_a_direction_that_ends_while_the_peer_moves(ender: int) -> None:
    ends = Ends(await secure(*memory_pair()))
    onto = await secure(*memory_pair())
    moving = asyncio.ensure_future(ends.move(onto))
    for _ in range(3):
        await asyncio.sleep(0)
    ends.streams[ender].write(b"last words")
    ends.streams[ender].write_eof()
    await asyncio.gather(moving, return_exceptions=True)
    other = ends.streams[1 - ender]
    assert await other.read() == b"last words"
    other.write(b"understood")
    other.write_eof()
    assert await ends.streams[ender].read() == b"understood"
    await ends.settle()
    assert all(stream._error is None for stream in ends.streams)


@pytest.mark.parametrize("turns", range(12))
async def test_closing_while_it_moves_delivers_what_was_written(turns: int) -> None:
    ends = Ends(await secure(*memory_pair(chunk=3000)))
    onto = await secure(*memory_pair(chunk=3000))
    ends.streams[0].write(bytes(100_000))
    moving = asyncio.ensure_future(ends.move(onto))
    for _ in range(turns):
        await asyncio.sleep(0)
    ends.streams[0].write(b"end")
    ends.streams[0].close()
    assert await ends.streams[1].read() == bytes(100_000) + b"end"
    await asyncio.gather(moving, return_exceptions=True)
    await ends.settle()


async def test_channels_do_not_notice() -> None:
    ends = Ends(await secure(*memory_pair()))
    connections = [Connection(stream) for stream in ends.streams]
    await asyncio.gather(*(connection.wait_ready() for connection in connections))
    await ends.move(await secure(*memory_pair()))
    await until(lambda: not any(stream.lines.left for stream in ends.streams))
    connections[0].mux.say_goodbye("enough")
    connections[0].close("enough")
    for connection in connections:
        await connection.wait_closed()
        assert connection.error is None


async def test_when_both_want_to_the_initiator_does() -> None:
    ends = Ends(await secure(*memory_pair()))
    ours = await secure(*memory_pair())
    theirs = (await secure(*memory_pair(), (BOB, ALICE)))[::-1]
    results = await asyncio.gather(ends.move(ours, 0), ends.move(theirs, 1), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], NetError)
    await talk(ends.streams)
    assert ends.streams[0].lines.written.session is ours[0].lines.written.session
    await ends.settle()


async def test_what_the_new_stream_has_still_to_send_is_not_lost() -> None:
    ends, onto = Ends(await secure(*memory_pair())), await secure(*memory_pair())
    for before, after in zip(ends.streams, onto, strict=True):
        before.lines.expect(after)
        after.write(b"over the new line, ")  # leaves at the end of this turn
    ends.streams[0].go_on_over(onto[0])
    ends.streams[0].write(b"and more")
    onto[0].flush()
    assert await ends.streams[1].readexactly(27) == b"over the new line, and more"
    await ends.settle()


async def test_only_one_move_at_a_time() -> None:
    ends = Ends(await secure(*memory_pair()))
    first, second = await secure(*memory_pair()), await secure(*memory_pair())
    moving = asyncio.ensure_future(ends.move(first))
    await asyncio.sleep(0)
    with pytest.raises(ClosedError, match="moving already"):
        await ends.moves[0].move(ends.streams[0], second[0])
    await moving
    await ends.settle()


async def test_a_stream_moves_to_the_same_peer_only() -> None:
    ends = Ends(await secure(*memory_pair()))
    elsewhere = await streams_between(ALICE, EVE)
    with pytest.raises(ValueError, match="to the same peer"):
        await ends.moves[0].move(ends.streams[0], elsewhere[0])
    await talk(ends.streams)
    await ends.settle()


async def refused(ends: Ends, onto: Pair, request: bytes) -> None:
    accepting = asyncio.ensure_future(ends.moves[1].accept(onto[1]))
    onto[0].write(request)
    onto[0].write_eof()
    assert await onto[0].read() == b"\x00"
    await accepting
    await talk(ends.streams)


async def test_nobody_else_can_move_a_stream() -> None:
    ends = Ends(await secure(*memory_pair()))
    key = ends.streams[0].moving_key
    name = moving_name(key)

    onto = await secure(*memory_pair(), (EVE, BOB))
    await refused(ends, onto, name + moving_proof(key, onto[0].handshake_hash, True))
    onto = await secure(*memory_pair())
    await refused(ends, onto, name + moving_proof(bytes(32), onto[0].handshake_hash, True))
    old = onto[0].handshake_hash
    onto = await secure(*memory_pair())
    await refused(ends, onto, name + moving_proof(key, old, True))
    await refused(ends, await secure(*memory_pair()), bytes(48))
    onto = await secure(*memory_pair())
    await refused(ends, onto, name + moving_proof(key, onto[0].handshake_hash, False))
    await ends.settle()


async def test_a_peer_that_does_not_prove_itself_or_refuses() -> None:
    ends = Ends(await secure(*memory_pair()))
    for answer, error in (
        (b"\x00", RefusedError),
        (b"\x01" + bytes(32), ProtocolError),
        (b"\x01", ClosedError),
        (b"", ClosedError),
    ):
        onto = await secure(*memory_pair())
        onto[1].write(answer)
        onto[1].write_eof()
        with pytest.raises(error):
            await ends.moves[0].move(ends.streams[0], onto[0])
        await talk(ends.streams)
    await ends.settle()


async def test_moving_to_nowhere_ends_the_stream() -> None:
    ends = Ends(await secure(*memory_pair()))
    ends.streams[0].lines.written.writer.leave()
    with pytest.raises(ClosedError, match="moved to a connection that has been cut"):
        await ends.streams[1].read()
    with pytest.raises(NetError):
        await ends.streams[0].read()


async def test_a_peer_that_says_nothing_over_the_new_line() -> None:
    ends = Ends(await secure(*memory_pair()))
    onto = await secure(*memory_pair())
    onto[0].close()
    with pytest.raises(NetError, match="did not say which"):
        await ends.moves[1].accept(onto[1])
    await talk(ends.streams)
    await ends.settle()


def test_the_worked_example_of_the_specification() -> None:
    example = json.loads((ROOT / "tests/vectors/stream_example.json").read_text())
    values = {name: value for part in example.values() if isinstance(part, dict)
              for name, value in part.items()}  # fmt: skip
    sides = [bytes.fromhex(values[f"IK key of the {side}"]) for side in ("initiator", "responder")]
    key, onto = moving_key(*sides), bytes.fromhex(values["XX handshake hash"])
    made = {
        "moving key": key,
        "name": moving_name(key),
        "proof of the initiator": moving_proof(key, onto, True),
        "proof of the responder": moving_proof(key, onto, False),
        "MOVED of the initiator": b"".join(RecordSealer(sides[0]).seal_moved()),
    }
    specification = (ROOT / "docs/spec/stream.md").read_text()
    for name, value in made.items():
        assert f"| {name} | `{value.hex()}` |" in specification


async def test_only_those_with_a_stream_are_expected() -> None:
    ends = Ends(await secure(*memory_pair()))
    assert ends.moves[1].expects(ALICE.public_key)
    assert not ends.moves[1].expects(EVE.public_key)
    await ends.settle()
