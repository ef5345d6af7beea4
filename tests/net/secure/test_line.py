"""What a line tells its owner, with an owner that writes it down."""

from __future__ import annotations

from net.carriers.memory import memory_pair
from net.errors import ClosedError, HandshakeError, ProtocolError
from net.noise import NoiseSession
from net.secure.line import Line
from tests.reference.lines import Owner, line_pair
from tests.reference.relays import until
from tests.reference.wire import BOB


async def test_the_owner_learns_what_the_peer_says() -> None:
    left, ours, _, theirs = await line_pair()
    left.session.send(b"hello")
    left.session.send_end()
    left.writer.flush()
    await theirs.told("ended")
    assert await theirs.told("received") == b"hello"
    left.carrier.close()
    assert await ours.told("lost") is None


async def test_bad_bytes_end_the_line_and_later_ones_are_dropped() -> None:
    left, _, _, theirs = await line_pair()
    left.carrier.write(bytes(19))
    left.carrier.write(bytes(19))
    error = await theirs.told("failed")
    assert isinstance(error, ProtocolError)
    assert isinstance(await theirs.told("lost"), Exception | None)
    assert [call for call, _ in theirs.calls].count("failed") == 1
    assert theirs.calls[-1][0] == "lost"


async def test_a_cut_is_told() -> None:
    left, _, _, theirs = await line_pair()
    left.carrier.write_end()
    assert isinstance(await theirs.told("failed"), ClosedError)
    owner = Owner()
    carrier, other = memory_pair()
    carrier.start(Line(carrier, NoiseSession(BOB, initiator=False), owner))
    other.write_end()
    assert isinstance(await owner.told("failed"), HandshakeError)


async def test_what_comes_while_it_is_held_is_told_later() -> None:
    left, _, right, theirs = await line_pair()
    left.writer.seal(b"early")
    left.writer.end()
    right.hold()
    right.carrier.resume_reading()  # as a carrier that had read it already
    await until(lambda: right._end_due or right.session.ended)
    assert theirs.all("received") == []
    right.release()
    right.carrier.resume_reading()
    await theirs.told("ended")
    assert theirs.all("received") == [b"early"]
    for line in (left, right):
        line.drop()
