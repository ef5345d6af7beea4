"""DHT cores on hosts behind routers: `net.testing.FakeNet` carries their datagrams."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.core import DhtCore
from net.dht.events import Event, Finished
from net.dht.messenger import Introduction
from net.testing import FakeNet, Host, Timer

UNIX = 1_800_000_000.0
Answer = Callable[[bytes], bytes | None]


class Peer:
    """A core with a socket; `answer` says what to answer to introductions, if it takes any."""

    def __init__(
        self, net: FakeNet, host: Host, *, answer: Answer | None = None, ephemeral: bool = False
    ) -> None:
        self.net = net
        self.key_pair = KeyPair.from_seed(net.rng.randbytes(32))
        self.messages: list[bytes] = []
        self.events: list[Event] = []
        self._answer = answer
        self._timer: Timer | None = None
        self.core = DhtCore(
            self.key_pair,
            KeyPair.from_seed(net.rng.randbytes(32)),
            rng=Random(net.rng.random()),
            secret=net.rng.randbytes(32),
            now=net.clock.now,
            unix=UNIX + net.clock.now,
            ephemeral=ephemeral,
            introductions=answer is not None,
            own=lambda seen: seen == self.address,
        )
        self.socket = host.open(self._received)
        self._pump()

    @property
    def address(self) -> Address:
        """Where the socket is, on its own side of the router."""
        return self.socket.address

    def finish(self, operation: int, limit: float = 60.0) -> list[Event]:
        """Let time pass until an operation is over; returns its events."""

        def over() -> bool:
            return any(isinstance(e, Finished) and e.operation == operation for e in self.events)

        self._pump()
        assert self.net.clock.run(self.net.clock.now + limit, over), "it has not ended"
        return [event for event in self.events if event.operation == operation]

    def join(self, other: Peer) -> None:
        """Join the network through an open peer."""
        self.finish(self.core.join([other.address], self.net.clock.now))

    def announce(self, topic: bytes) -> int:
        """Announce a topic; returns how many hold it."""
        number = self.core.announce(topic, [("192.168.0.9", 9)], self.net.clock.now)
        *_, end = self.finish(number)
        assert isinstance(end, Finished)
        return end.stored

    def introduce(self, topic: bytes, other: Peer, message: bytes) -> list[Event]:
        """Have a message passed on."""
        now = self.net.clock.now
        return self.finish(self.core.introduce(topic, other.key_pair.public_key, message, now))

    def _received(self, data: bytes, address: Address) -> None:
        self.core.receive_datagram(data, address, self.net.clock.now)
        self._pump()

    def _wake(self) -> None:
        self.core.handle_timeout(self.net.clock.now)
        self._pump()

    def _pump(self) -> None:
        while (event := self.core.next_event()) is not None:
            if isinstance(event, Introduction):
                self.messages.append(event.message)
                assert self._answer is not None
                self.core.answer(event.number, self._answer(event.message))
            else:
                self.events.append(event)
        for data, address in self.core.datagrams_to_send():
            self.socket.send(data, address)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.net.clock.call_at(self.core.next_timeout(), self._wake)


def network(net: FakeNet, count: int) -> list[Peer]:
    """Return peers that everybody reaches, who know each other."""
    peers = [Peer(net, net.host())]
    while len(peers) < count:
        peers.append(Peer(net, net.host()))
        peers[-1].join(peers[0])
    return peers
