"""What the conformance suite does not ask of a carrier over a relay."""

from __future__ import annotations

import pytest

from net.errors import ClosedError
from net.relay.carrier import RelayCarrier
from net.relay.messages import Limits
from tests.reference.receivers import Recording
from tests.reference.relays import RELAY, streams_between
from tests.reference.wire import ALICE

LONG = Limits(1 << 30, 1 << 30, 3600, 180)


async def test_early_bytes_come_first_and_after_start() -> None:
    ours, theirs = await streams_between(ALICE, RELAY)
    carrier = RelayCarrier(ours, LONG, b"early ")
    theirs.write(b"and late")
    receiver = Recording()
    carrier.start(receiver)
    assert not receiver.received
    await receiver.size(14)
    assert receiver.received == b"early and late"
    carrier.abort()


async def test_a_carrier_that_was_paused_at_once_stays_so() -> None:
    ours, theirs = await streams_between(ALICE, RELAY)
    carrier, receiver = RelayCarrier(ours, LONG), Recording()
    carrier.start(receiver)
    carrier.pause_reading()
    theirs.write(b"x")
    await theirs.drain()
    carrier.resume_reading()
    await receiver.size(1)
    carrier.close()
    await receiver.call("lost")
    assert receiver.error is None


@pytest.mark.parametrize("limits", [Limits(1000, 1000, 3600, 180), Limits(1000, 1000, 3600, 1)])
async def test_it_names_the_limit_that_ended_it(limits: Limits) -> None:
    ours, theirs = await streams_between(ALICE, RELAY)
    carrier, receiver = RelayCarrier(ours, limits), Recording()
    carrier.start(receiver)
    theirs.write(bytes(1000 if limits.idle > 1 else 1))
    await receiver.size(1)
    theirs.abort()
    await receiver.call("lost")
    assert isinstance(receiver.error, ClosedError)
    assert "the relay ended the circuit: it carried" in str(receiver.error)


async def test_a_cut_that_no_limit_explains_is_a_cut() -> None:
    ours, theirs = await streams_between(ALICE, RELAY)
    carrier, receiver = RelayCarrier(ours, LONG), Recording()
    carrier.start(receiver)
    theirs.abort()
    await receiver.call("lost")
    assert "the connection was cut" in str(receiver.error)
    carrier.write(b"into the void")
    carrier.write_end()
