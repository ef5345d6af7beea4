"""The client's side of relays: making circuits, and waiting for those of others.

    client = RelayClient(dial)
    carrier = await client.connect(relay, public_key)
    reservation = await client.reserve(relay, on_circuit)

`dial(relay)` makes a secure stream of the protocol PROTOCOL to the relay's key. What comes
out is a carrier: the caller runs its own handshake over it, end to end.

Invariant: at most `MAX_ANSWERS` circuits of one reservation are in the making, and `MAX_RATE`
are begun in a second; more are declined at once, whatever the relay says.
Must not know how relays are found, or who may connect but by `allow`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from net.addresses import RelayAddress, format_address
from net.carriers.base import Carrier
from net.errors import ClosedError, DeadlineError, NetError, ProtocolError, RefusedError
from net.relay.carrier import RelayCarrier
from net.relay.link import RelayLink
from net.relay.messages import (
    Accept,
    Connect,
    Incoming,
    Limits,
    MessageReader,
    Ready,
    Refused,
    encode_message,
)
from net.secure.stream import SecureStream

CIRCUIT_DEADLINE = 12.0
"""Seconds for a circuit: the relay gives the other end ten."""

MAX_ANSWERS = 4
"""Circuits in the making: as many as a relay lets wait for one peer."""

MAX_RATE = 16
"""Answers begun in one second: each costs a connection and a handshake with the relay."""

READ = 64 << 10

Dial = Callable[[RelayAddress], Awaitable[SecureStream]]
OnCircuit = Callable[[Carrier], None]
Allow = Callable[[bytes], bool]

log = logging.getLogger(__name__)


class RelayClient:
    """Uses relays; `dial` reaches them."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    async def connect(self, relay: RelayAddress, public_key: bytes) -> Carrier:
        """Return a circuit to the peer with that key, which waits at the relay.

        Raises `NetError`: what failed, and at which relay.
        """
        return await self._circuit(relay, Connect(public_key))

    async def reserve(
        self, relay: RelayAddress, on_circuit: OnCircuit, *, allow: Allow | None = None
    ) -> Reservation:
        """Wait at a relay: `on_circuit` is called with each circuit that somebody makes to us.

        `allow` decides by the key that the relay claims for who connects; the handshake on
        the circuit proves it. Raises `NetError`.
        """
        return await self.reserve_by(await self.link(relay), relay, on_circuit, allow=allow)

    async def reserve_by(
        self,
        link: RelayLink,
        relay: RelayAddress,
        on_circuit: OnCircuit,
        *,
        allow: Allow | None = None,
    ) -> Reservation:
        """Wait at a relay to which there is a link; the link is closed if it refuses."""
        known = RelayAddress(link.stream.remote_key, relay.address)
        reservation = Reservation(self, link, known, on_circuit, allow)
        link.on_incoming = reservation.incoming
        try:
            reservation.limits = await link.reserve()
        except BaseException:
            link.close()
            raise
        return reservation

    async def link(self, relay: RelayAddress) -> RelayLink:
        """Return a stream to a relay that waits for nothing, to measure it or to ask by it."""
        return RelayLink(await self._dial(relay))

    async def accept(self, relay: RelayAddress, incoming: Incoming) -> Carrier:
        """Return the circuit that somebody wants to us. Raises `NetError`."""
        return await self._circuit(relay, Accept(incoming.token))

    async def _circuit(self, relay: RelayAddress, wish: Connect | Accept) -> Carrier:
        stream = await self._dial(relay)
        where = format_address(relay.address)
        try:
            async with asyncio.timeout(CIRCUIT_DEADLINE):
                stream.write(encode_message(wish))
                limits, early = await _ready(stream, where)
        except TimeoutError as error:
            stream.abort()
            raise DeadlineError(
                f"relay {where} has made no circuit in {CIRCUIT_DEADLINE:g} s"
            ) from error
        except BaseException:
            stream.abort()
            raise
        return RelayCarrier(stream, limits, early)


async def _ready(stream: SecureStream, where: str) -> tuple[Limits, bytes]:
    """Return the relay's limits, and the bytes of the circuit that came with them."""
    reader = MessageReader()
    while data := await stream.read(READ):
        for message in reader.receive(data):
            match message:
                case Ready(limits):
                    return limits, reader.rest()
                case Refused(_, reason):
                    raise RefusedError(f"relay {where} refused: {reason}")
                case _:
                    name = type(message).__name__
                    raise ProtocolError(f"relay {where} answered with {name}, not Ready")
    raise ClosedError(f"relay {where} has ended the stream without a word")


class Reservation:
    """Our place at a relay. It ends with `close`, or with the relay; `error` says why."""

    def __init__(
        self,
        client: RelayClient,
        link: RelayLink,
        relay: RelayAddress,
        on_circuit: OnCircuit,
        allow: Allow | None,
    ) -> None:
        self.link = link
        """The stream that keeps it."""
        self.relay = relay
        """With the key that the relay has proven."""
        self.limits: Limits | None = None
        self._client = client
        self._on_circuit = on_circuit
        self._allow = allow
        self._answers: set[asyncio.Task[None]] = set()
        self._second = 0
        self._begun = 0

    @property
    def error(self) -> NetError | None:
        """Why it ended; None while it stands."""
        return self.link.error

    def close(self) -> None:
        """Wait no more; circuits that stand go on."""
        for task in self._answers:
            task.cancel()
        self.link.close()

    async def wait_closed(self) -> None:
        """Wait until the reservation is gone."""
        await self.link.wait_closed()

    def incoming(self, incoming: Incoming) -> None:
        """Learn who wants a circuit; the link calls this."""
        refused = self._allow is not None and not self._allow(incoming.public_key)
        if refused or len(self._answers) >= MAX_ANSWERS or not self._within_rate():
            self.link.decline(incoming)
            return
        task = asyncio.ensure_future(self._accept(incoming))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def _within_rate(self) -> bool:
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._begun = second, 0
        self._begun += 1
        return self._begun <= MAX_RATE

    async def _accept(self, incoming: Incoming) -> None:
        try:
            carrier = await self._client.accept(self.relay, incoming)
        except NetError as error:
            log.debug("< no circuit by %s: %s", format_address(self.relay.address), error)
        else:
            self._on_circuit(carrier)
