"""Moving a live stream to another carrier, from a relay to a direct way for example.

    moves = Moves(); moves.add(stream)              # both ends, once the stream is made
    await moves.move(stream, onto)                  # one end, with a new stream to the peer
    await moves.accept(onto)                        # the other, for a stream of PROTOCOL

`onto` is a stream like any other, so the peer's key is proven for it, and its own record
keys are fresh. Over it both ends prove that they are the ends of the old one, too. Then
each seals MOVED as the last record of the old line, and what it writes next are records
of the new one; each reads the old line to that record before it reads on.

    mover                     on the new line                        other end
    name, proof of the mover  ------------------------------------>  expects MOVED
                              <------------------------------------  01, its proof
    MOVED (old line), goes on over the new one                       reads MOVED, does the same

Invariant: no byte is lost, doubled or reordered: a direction goes on over the new line when
its last record on the old one was read, or both ends see an error. Neither end leaves the
old line before it has heard the other over the new one. When both want to move at once, the
initiator of the stream does.
Must not know how the new way was found, or why. Specified in docs/spec/stream.md, section 6.
"""

from __future__ import annotations

import asyncio
from hmac import compare_digest
from weakref import WeakValueDictionary

from net.errors import ClosedError, DeadlineError, ProtocolError, RefusedError
from net.hashing import moving_name, moving_proof
from net.secure.stream import SecureStream

PROTOCOL = "feedlog/move/1"
"""What an initiator asks for in the handshake of a stream that another shall go on over."""

AGREEMENT = 10.0
"""Seconds for the two messages."""

NAME_SIZE = 16
PROOF_SIZE = 32
AGREED = b"\x01"
REFUSED = b"\x00"


class Moves:
    """The streams of a node that may move, and those that are about to."""

    def __init__(self) -> None:
        self._streams: WeakValueDictionary[bytes, SecureStream] = WeakValueDictionary()
        self._proposed: set[bytes] = set()

    def add(self, stream: SecureStream) -> None:
        """Let the peer move a stream; it is forgotten with its last user."""
        self._streams[moving_name(stream.moving_key)] = stream

    def expects(self, public_key: bytes) -> bool:
        """Tell whether there is a stream that the owner of that key may move."""
        streams = self._streams.values()
        return any(stream.remote_key == public_key and stream.may_move for stream in streams)

    async def move(self, stream: SecureStream, onto: SecureStream) -> None:
        """Have a stream go on over another one to the same peer, which is used up.

        Raises `NetError` where it comes to nothing; the stream then goes on as before.
        """
        if onto.remote_key != stream.remote_key:
            raise ValueError("a stream moves to another line to the same peer")
        name = moving_name(stream.moving_key)
        if name in self._proposed:
            onto.abort()
            raise ClosedError("the stream is moving already")
        self._proposed.add(name)
        try:
            async with asyncio.timeout(AGREEMENT):
                await _agree(stream, onto, name)
            stream.go_on_over(onto)
        except TimeoutError as error:
            onto.abort()
            raise DeadlineError(f"the peer has not agreed to move in {AGREEMENT:g} s") from error
        except BaseException:
            onto.abort()
            raise
        finally:
            self._proposed.discard(name)

    async def accept(self, onto: SecureStream) -> None:
        """Agree to what a peer proposes over a stream of PROTOCOL, or refuse.

        Returns when that stream is over, or its line is the other one's. Raises `NetError`.
        """
        try:
            async with asyncio.timeout(AGREEMENT):
                request = await onto.readexactly(NAME_SIZE + PROOF_SIZE)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            onto.abort()
            raise DeadlineError("a peer that wanted to move a stream did not say which") from error
        name, proof = request[:NAME_SIZE], request[NAME_SIZE:]
        stream = self._streams.get(name)
        if stream is None or not self._may(stream, name, onto, proof):
            onto.write(REFUSED)
            onto.close()
            return
        stream.lines.expect(onto)
        onto.write(AGREED + _proof(stream, onto, stream.initiator))
        await _until_either_is_gone(stream, onto)

    def _may(self, stream: SecureStream, name: bytes, onto: SecureStream, proof: bytes) -> bool:
        if onto.remote_key != stream.remote_key:
            return False
        if not compare_digest(proof, _proof(stream, onto, not stream.initiator)):
            return False
        crossing = name in self._proposed and stream.initiator
        return stream.may_move and not crossing


def _proof(stream: SecureStream, onto: SecureStream, initiator: bool) -> bytes:
    return moving_proof(stream.moving_key, onto.handshake_hash, initiator)


async def _agree(stream: SecureStream, onto: SecureStream, name: bytes) -> None:
    """Propose it to the peer; raises unless it agrees and proves who it is."""
    if not stream.may_move:
        raise ClosedError("the stream is ending, or moving already")
    onto.write(name + _proof(stream, onto, stream.initiator))
    try:
        if await onto.readexactly(1) != AGREED:
            raise RefusedError("the peer does not move the stream")
        proof = await onto.readexactly(PROOF_SIZE)
    except asyncio.IncompleteReadError as error:
        raise ClosedError("the new connection ended before the stream had moved") from error
    if not compare_digest(proof, _proof(stream, onto, not stream.initiator)):
        raise ProtocolError("the peer has not proven that it is the stream's other end")
    if not stream.may_move or onto.is_closing():
        raise ClosedError("the stream has ended, or the peer has moved it")


async def _until_either_is_gone(stream: SecureStream, onto: SecureStream) -> None:
    """Keep what was agreed while both live; a line that nobody moved to is closed."""
    waits = [asyncio.ensure_future(each.wait_closed()) for each in (stream, onto)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        stream.lines.forget(onto)
        onto.abort()
