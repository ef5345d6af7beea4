"""Requests and answers on their way out, and which answer belongs to which request.

What a node does (`runner`, `responder`, `messenger`) is asking and answering; how that becomes
datagrams is here, and what every answer says besides: how long it took, how we are seen.

Invariant: what arrives is a request, the answer to a request that is under way, or is
refused with `DecodeError`. Must not know why anything is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from net.addresses import Address
from net.dht.calls import Call, Calls
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.datagrams import (
    MESSAGE_ID_SIZE,
    Request,
    Response,
    decode_datagram,
    encode_request,
    encode_response,
)
from net.dht.messages import MAX_DATAGRAM, Arguments, Body, Introduce, Introduced
from net.dht.observations import Observations
from net.dht.round_trips import RoundTrips
from net.dht.sealing import OVERHEAD, Seal


class Exchange:
    """The datagrams of one node."""

    def __init__(
        self,
        rng: Random,
        counters: Counter[str],
        *,
        seal: Seal | None = None,
        own: Callable[[Address], bool] | None = None,
    ) -> None:
        self._rng = rng
        self._counters = counters
        self._seal = seal
        self._calls = Calls()
        self.round_trips = RoundTrips()
        self.observations = Observations(own)
        self._outbox: list[tuple[bytes, Address]] = []

    @property
    def largest(self) -> int:
        """The most bytes that an answer may have before it is sealed."""
        return MAX_DATAGRAM - (OVERHEAD if self._seal is not None else 0)

    def __len__(self) -> int:
        return len(self._calls)

    def ask(
        self,
        address: Address,
        arguments: Arguments,
        contact: Contact | None,
        now: float,
        *,
        operation: int = 0,
        timeout: float | None = None,
    ) -> bytes:
        """Send a request; returns its message id. What takes no thought has the usual time.

        It leaves out who we are while nobody is to take us for a contact.
        """
        message_id = self._rng.randbytes(MESSAGE_ID_SIZE)
        if timeout is None:
            timeout = self.round_trips.timeout
        if self.observations.hidden:
            arguments = msgspec.structs.replace(arguments, sender=b"")
        self._calls.begin(
            Call(message_id, address, arguments, contact, operation, now, now + timeout)
        )
        self.send(encode_request(message_id, arguments), address)
        return message_id

    def answer(self, message_id: bytes, address: Address, body: Body, code: Code = Code.OK) -> None:
        """Send the answer to a request that came from an address."""
        self.send(encode_response(message_id, address, body, code), address)

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram that is made already."""
        self._outbox.append((data if self._seal is None else self._seal.seal(data), address))

    def receive(
        self, data: bytes, address: Address, now: float
    ) -> Request | tuple[Call, Response] | None:
        """Read a datagram; None for an answer that nobody waits for. Raises `DecodeError`."""
        message = decode_datagram(data if self._seal is None else self._seal.open(data))
        if isinstance(message, Request):
            return message
        call = self._calls.match(message.message_id, address)
        if call is None:
            self._counters["unmatched"] += 1
            return None
        if not isinstance(call.arguments, Introduce | Introduced):
            self.round_trips.add(now - call.begun)
        self.observations.add(call.address, message.observed)
        return call, message

    def expire(self, now: float) -> list[Call]:
        """Return the requests that will not be answered any more."""
        return self._calls.expire(now)

    def next_deadline(self) -> float | None:
        """Return when `expire` will have something to do."""
        return self._calls.next_deadline()

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return what to send, oldest first, and forget it."""
        outbox, self._outbox = self._outbox, []
        return outbox
