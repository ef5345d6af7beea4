"""When what is written to a line leaves it, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from net.carriers.memory import memory_pair
from net.noise import StreamEnded, StreamMoved
from net.secure.writer import SEAL_CHUNK, Writer
from tests.reference.receivers import Recording
from tests.reference.wire import established_pair, noise_events


class Ends:
    """A writer, and what comes out at the other end."""

    def __init__(self) -> None:
        self.session, self.other = established_pair()
        near, far = memory_pair()
        self.writer = Writer(near, self.session)
        self.receiver = Recording()
        far.start(self.receiver)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def plaintext(self) -> bytes:
        """Open what came since it was asked for."""
        received, self.receiver.received = self.receiver.received, bytearray()
        self.other.receive_data(received)
        return b"".join(getattr(event, "data", b"") for event in noise_events(self.other))


@pytest.fixture
async def ends() -> Ends:
    return Ends()


async def test_pieces_of_one_turn_leave_together_and_in_order(ends: Ends) -> None:
    for piece in (b"one ", b"two ", b"three"):
        ends.writer.seal(piece)
    assert ends.session._outgoing
    await ends.settle()
    assert len(ends.receiver.pieces) == 1
    assert ends.plaintext() == b"one two three"
    ends.writer.seal(b"another turn")
    await ends.settle()
    assert len(ends.receiver.pieces) == 2
    assert ends.plaintext() == b"another turn"


async def test_a_chunk_waits_for_nothing(ends: Ends) -> None:
    ends.writer.seal(bytes(SEAL_CHUNK - 1))
    assert ends.session._outgoing
    ends.writer.seal(b"!")
    assert not ends.session._outgoing
    await ends.settle()
    assert ends.plaintext() == bytes(SEAL_CHUNK - 1) + b"!"


async def test_who_promises_to_flush_is_waited_for(ends: Ends) -> None:
    ends.writer.flush_due = True
    ends.writer.seal(b"said")
    await ends.settle()
    assert ends.receiver.pieces == []
    ends.writer.flush()
    assert not ends.writer.flush_due
    await ends.settle()
    assert ends.plaintext() == b"said"


@pytest.mark.parametrize(
    ("end", "event"), [(Writer.end, StreamEnded()), (Writer.leave, StreamMoved())]
)
async def test_the_last_record_is_behind_all_others(
    ends: Ends, end: Callable[[Writer], None], event: object
) -> None:
    ends.writer.seal(b"before")
    end(ends.writer)
    await ends.receiver.call("ended")
    ends.other.receive_data(ends.receiver.received)
    *_, last = noise_events(ends.other)
    assert last == event


async def test_a_direction_that_has_ended_goes_on_nowhere(ends: Ends) -> None:
    ends.writer.end()
    ends.writer.leave()
    await ends.receiver.call("ended")
    ends.other.receive_data(ends.receiver.received)
    assert StreamMoved() not in noise_events(ends.other)


async def test_a_carrier_that_is_gone_is_given_nothing(ends: Ends) -> None:
    ends.writer.seal(b"too late")
    ends.writer.close()
    await ends.settle()
    ends.writer.flush()
    await ends.settle()
    assert ends.receiver.pieces == []
