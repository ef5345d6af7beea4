"""Lines without a stream, and an owner that writes down what they tell."""

from __future__ import annotations

import asyncio
from typing import Any

from net.carriers.memory import memory_pair
from net.noise import NoiseSession
from net.secure.line import Line
from tests.reference.wire import ALICE, BOB


class Owner:
    """Whoever a line tells what happens; it writes it down."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        """What it was told, and about what."""
        self._changed = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("line_"):
            raise AttributeError(name)
        call = name.removeprefix("line_")
        return lambda *arguments: self.note(call, arguments[-1] if arguments else None)

    def note(self, name: str, argument: Any) -> None:
        self.calls.append((name, argument))
        self._changed.set()

    def all(self, name: str) -> list[Any]:
        return [argument for call, argument in self.calls if call == name]

    async def told(self, name: str) -> Any:
        while not (found := self.all(name)):
            self._changed.clear()
            await self._changed.wait()
        return found[0]


async def line_pair() -> tuple[Line, Owner, Line, Owner]:
    """Return both ends of a line whose handshake is over, Alice first, each with its owner."""
    made: list[tuple[Line, Owner]] = []
    sessions = (
        NoiseSession(ALICE, initiator=True, remote_key=BOB.public_key, protocol="test"),
        NoiseSession(BOB, initiator=False),
    )
    for carrier, session in zip(memory_pair(), sessions, strict=True):
        owner = Owner()
        line = Line(carrier, session, owner)
        carrier.start(line)
        made.append((line, owner))
    (left, ours), (right, theirs) = made
    left.writer.flush()
    peer = await theirs.told("identified")
    assert (peer.public_key, peer.protocol) == (ALICE.public_key, "test")
    right.session.accept()
    right.dispatch()
    right.carrier.resume_reading()
    assert (await ours.told("established")).public_key == BOB.public_key
    assert (await theirs.told("established")).public_key == ALICE.public_key
    return left, ours, right, theirs
