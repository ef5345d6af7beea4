"""The simplest network: what one side has to send is given to the other until both are quiet."""

from __future__ import annotations

from collections.abc import Iterable

from feedlog.keys import KeyPair
from net.channels import Channel, Mux
from net.channels.events import Event as MuxEvent
from net.noise import Established, NoiseSession, PeerIdentified
from net.noise.events import Event as NoiseEvent

ALICE = KeyPair.from_seed(b"alice".ljust(32, b"."))
BOB = KeyPair.from_seed(b"bob".ljust(32, b"."))
EVE = KeyPair.from_seed(b"eve".ljust(32, b"."))


def pieces(data: bytes, size: int | None) -> Iterable[bytes]:
    """Cut data as a network might."""
    if size is None:
        return [data] if data else []
    return [data[start : start + size] for start in range(0, len(data), size)]


def noise_events(session: NoiseSession) -> list[NoiseEvent]:
    """Take all events, and accept whoever has to be accepted."""
    events: list[NoiseEvent] = []
    while (event := session.next_event()) is not None:
        events.append(event)
        if isinstance(event, PeerIdentified):
            session.accept()
    return events


def pump_noise(
    left: NoiseSession, right: NoiseSession, chunk: int | None = None
) -> tuple[list[NoiseEvent], list[NoiseEvent]]:
    """Carry bytes both ways until nothing moves; return the events of both."""
    events: tuple[list[NoiseEvent], list[NoiseEvent]] = ([], [])
    moving = True
    while moving:
        moving = False
        for source, target, seen in ((left, right, events[1]), (right, left, events[0])):
            for piece in pieces(source.data_to_send(), chunk):
                moving = True
                target.receive_data(piece)
                seen.extend(noise_events(target))
    return events


def noise_pair(*, known: bool = True, binding: bytes = b"") -> tuple[NoiseSession, NoiseSession]:
    """Return two sessions that have not spoken."""
    return (
        NoiseSession(
            ALICE,
            initiator=True,
            remote_key=BOB.public_key if known else None,
            protocol="test",
            binding=binding,
        ),
        NoiseSession(BOB, initiator=False, binding=binding),
    )


def established_pair(*, known: bool = True) -> tuple[NoiseSession, NoiseSession]:
    """Return two sessions whose handshake is over and whose events are taken."""
    left, right = noise_pair(known=known)
    pump_noise(left, right)
    assert isinstance(left.established, Established)
    assert isinstance(right.established, Established)
    return left, right


HANDSHAKE_HASH = bytes(range(64))


def mux_pair(now: float = 0.0) -> tuple[Mux, Mux]:
    """Return the two sides of a stream on which nothing has been said."""
    return (
        Mux(initiator=True, handshake_hash=HANDSHAKE_HASH, now=now),
        Mux(initiator=False, handshake_hash=HANDSHAKE_HASH, now=now),
    )


def mux_events(mux: Mux) -> list[MuxEvent]:
    """Take all events."""
    events: list[MuxEvent] = []
    while (event := mux.next_event()) is not None:
        events.append(event)
    return events


def sent_by(mux: Mux) -> bytes:
    """Take all that a mux can send now."""
    sent = b""
    while chunk := b"".join(mux.data_to_send()):
        sent += chunk
    return sent


def pump_mux(
    left: Mux, right: Mux, *, now: float = 0.0, chunk: int | None = None
) -> tuple[list[MuxEvent], list[MuxEvent]]:
    """Carry bytes both ways until nothing moves; return the events of both."""
    events = (mux_events(left), mux_events(right))
    moving = True
    while moving:
        moving = False
        for source, target, seen in ((left, right, events[1]), (right, left, events[0])):
            for piece in pieces(sent_by(source), chunk):
                moving = True
                target.receive_data(piece, now)
                seen.extend(mux_events(target))
    for mux, seen in zip((left, right), events, strict=True):
        seen.extend(mux_events(mux))
    return events


def open_pair(key: bytes) -> tuple[Mux, Mux, Channel, Channel]:
    """Return the two sides of a stream, and those of a channel about a feed that is open on it."""
    left, right = mux_pair()
    ours = left.open(key, "proto")
    pump_mux(left, right)
    theirs = right.open(key, "proto")
    pump_mux(left, right)
    assert ours.is_open
    assert theirs.is_open
    return left, right, ours, theirs
