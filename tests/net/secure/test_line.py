"""What a line tells its owner, with an owner that writes it down."""

from __future__ import annotations

import asyncio
from typing import Any

from net.carriers.memory import memory_pair
from net.errors import ClosedError, HandshakeError, ProtocolError
from net.noise import NoiseSession
from net.secure.line import Line
from tests.reference.wire import ALICE, BOB


class Owner:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.line: Line | None = None
        self._changed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("line_"):
            raise AttributeError(name)
        call = name.removeprefix("line_")
        return lambda *arguments: self.note(call, arguments[-1] if arguments else None)

    def note(self, name: str, argument: Any) -> None:
        self.calls.append((name, argument))
        self._changed.set()

    def flush(self) -> None:
        assert self.line is not None
        if data := self.line.session.data_to_send():
            self.line.carrier.write(data)

    async def told(self, name: str) -> Any:
        while not (found := [argument for call, argument in self.calls if call == name]):
            self._changed.clear()
            await self._changed.wait()
        return found[0]


async def lines() -> tuple[Line, Owner, Line, Owner]:
    made: list[tuple[Line, Owner]] = []
    sessions = (
        NoiseSession(ALICE, initiator=True, remote_key=BOB.public_key, protocol="test"),
        NoiseSession(BOB, initiator=False),
    )
    for carrier, session in zip(memory_pair(), sessions, strict=True):
        owner = Owner()
        owner.line = Line(carrier, session, owner)
        carrier.start(owner.line)
        made.append((owner.line, owner))
    (left, ours), (right, theirs) = made
    ours.flush()
    peer = await theirs.told("identified")
    assert (peer.public_key, peer.protocol) == (ALICE.public_key, "test")
    right.session.accept()
    right.dispatch()
    right.carrier.resume_reading()
    assert (await ours.told("established")).public_key == BOB.public_key
    assert (await theirs.told("established")).public_key == ALICE.public_key
    return left, ours, right, theirs


async def test_the_owner_learns_what_the_peer_says() -> None:
    left, ours, _, theirs = await lines()
    left.session.send(b"hello")
    left.session.send_end()
    ours.flush()
    await theirs.told("ended")
    assert await theirs.told("received") == b"hello"
    left.carrier.close()
    assert await ours.told("lost") is None


async def test_bad_bytes_end_the_line_and_later_ones_are_dropped() -> None:
    left, _, _, theirs = await lines()
    left.carrier.write(bytes(19))
    left.carrier.write(bytes(19))
    error = await theirs.told("failed")
    assert isinstance(error, ProtocolError)
    assert isinstance(await theirs.told("lost"), Exception | None)
    assert [call for call, _ in theirs.calls].count("failed") == 1
    assert theirs.calls[-1][0] == "lost"


async def test_a_cut_is_told() -> None:
    left, _, _, theirs = await lines()
    left.carrier.write_end()
    assert isinstance(await theirs.told("failed"), ClosedError)
    owner = Owner()
    carrier, other = memory_pair()
    owner.line = Line(carrier, NoiseSession(BOB, initiator=False), owner)
    carrier.start(owner.line)
    other.write_end()
    assert isinstance(await owner.told("failed"), HandshakeError)
