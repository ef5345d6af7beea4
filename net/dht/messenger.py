"""The two requests that carry messages, and their answers: `introductions` on the wire.

A node is holder and announcer in one: it passes on what is for those whose announcements it
holds, and takes what is for itself, be it brought by a holder or asked of it as the holder
of its own announcement.

Invariant: whoever waits for an answer gets the announcer's, or a code, or nothing; never
more bytes than it sent. Specified in docs/spec/dht.md, section 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from feedlog.errors import DecodeError
from net.addresses import Address
from net.dht.calls import Call
from net.dht.codes import Code
from net.dht.datagrams import INTRODUCE_SIZE, INTRODUCED_SIZE, Request, Response, decode_body
from net.dht.exchange import Exchange
from net.dht.introducing import INTRODUCED_TIMEOUT
from net.dht.introductions import Asker, Door, Passing
from net.dht.messages import Introduce, Introduced
from net.dht.responder import Responder
from net.dht.storage import Way


@dataclass(frozen=True, slots=True)
class Introduction:
    """Somebody has sent us a message: `DhtCore.answer` takes what to say to it."""

    number: int
    message: bytes


class Messenger:
    """Passes messages on, and takes those to the owner of `public_key`."""

    def __init__(
        self,
        exchange: Exchange,
        responder: Responder,
        *,
        sender: bytes,
        public_key: bytes,
        secret: bytes,
        takes: bool,
        deliver: Callable[[Introduction], None],
    ) -> None:
        self._exchange = exchange
        self._responder = responder
        self._store = responder.store
        self._sender = sender
        self._public_key = public_key
        self.takes = takes
        """Whether messages to us are taken."""
        self._deliver = deliver
        self._passing = Passing(responder.store)
        self._door = Door(secret)

    def ticket(self, holder: Address) -> bytes:
        """Return the ticket that the node at an address may bring us messages with."""
        return self._door.ticket(holder)

    def way(self, topic: bytes, public_key: bytes, unix: float) -> Way | None:
        """Return the way to an announcer whose announcement we hold ourselves."""
        return self._store.way(topic, public_key, unix)

    def receive(self, request: Request, address: Address, now: float, unix: float) -> Code | None:
        """Do what a request that carries a message asks for.

        Returns how it was or will be answered, None if it is not.
        """
        arguments, asker = request.arguments, Asker(address, request.message_id)
        if not self._responder.allow(address, now):
            return None  # what is refused here costs nothing more
        if isinstance(arguments, Introduce):
            return self._introduce(arguments, request.size, asker, now, unix)
        assert isinstance(arguments, Introduced), "no other request carries a message"
        return self._introduced(arguments, request.size, asker, now)

    def _introduce(
        self, introduce: Introduce, size: int, asker: Asker, now: float, unix: float
    ) -> Code | None:
        if size < INTRODUCE_SIZE:
            return None
        if not self._responder.proven(introduce.token, asker.address, now):
            return self._refuse(asker, Code.TOKEN)
        own = introduce.public_key == self._public_key and self.takes
        if own and self._store.holds(introduce.topic, self._public_key, unix):
            return self._take(introduce.topic, introduce.message, asker, now)
        way = self._passing.way(introduce, asker, now, unix)
        if isinstance(way, Code):
            return self._refuse(asker, way)
        message_id = self._exchange.ask(
            way.address,
            Introduced(self._sender, way.ticket, introduce.topic, introduce.message),
            None,
            now,
            timeout=INTRODUCED_TIMEOUT,
        )
        self._passing.passed(message_id, asker, way)
        return Code.OK

    def _introduced(
        self, introduced: Introduced, size: int, holder: Asker, now: float
    ) -> Code | None:
        if not self.takes or size < INTRODUCED_SIZE:
            return None
        if not self._door.knows(introduced, holder.address):
            return None
        return self._take(introduced.topic, introduced.message, holder, now)

    def answer(self, number: int, answer: bytes | None) -> None:
        """Answer an `Introduction`; None is silence."""
        for asker in self._door.answer(number, answer):
            self._exchange.answer(asker.message_id, asker.address, answer)

    def returned(self, call: Call, response: Response) -> None:
        """Pass the announcer's answer back; raises `DecodeError` when it makes no sense."""
        asker = self._passing.over(call.message_id)
        if asker is None:
            return
        if response.code:
            self._refuse(asker, Code.BUSY)
            return
        try:
            answer = decode_body("introduced", response)
        except DecodeError:
            self._refuse(asker, Code.SILENT)  # nonsense says no more than silence
            raise
        self._exchange.answer(asker.message_id, asker.address, answer)

    def lost(self, call: Call) -> None:
        """Tell whoever waits that the announcer is silent."""
        asker = self._passing.over(call.message_id)
        if asker is not None:
            self._refuse(asker, Code.SILENT)

    def _take(self, topic: bytes, message: bytes, asker: Asker, now: float) -> Code:
        taken = self._door.take(topic, message, asker, now)
        if isinstance(taken, Code):
            return taken if taken is Code.OK else self._refuse(asker, taken)
        if isinstance(taken, bytes):
            self._exchange.answer(asker.message_id, asker.address, taken)
        else:
            self._deliver(Introduction(taken, message))
        return Code.OK

    def _refuse(self, asker: Asker, code: Code) -> Code:
        self._exchange.answer(asker.message_id, asker.address, None, code)
        return code
