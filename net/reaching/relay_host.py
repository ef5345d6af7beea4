"""A relay on a host of its own, beside a DHT node: what `feedlog dht --relay` runs.

    host = RelayHost(key_pair)
    ports = await Ports.open(hosts, port, host.arrived)
    await host.begin(dht, addresses)      # a DhtNode on ports.udp; announces the relay
    await host.close()

A `Node` that relays (`Node(relay=True)`) shares its door with feeds and streams; here the
only thing that strangers come for is the relay.

Invariant: before `begin` nobody is let in. Must not know how ports are opened.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from feedlog.keys import KeyPair
from net.addresses import Address
from net.carriers.base import Carrier
from net.dht.hashing import relay_topic
from net.dht.node import DhtNode
from net.dht.records import MAX_ADDRESSES
from net.errors import NetError
from net.reaching.reception import Reception
from net.relay.limits import RelayLimits
from net.relay.messages import PROTOCOL
from net.relay.questions import RelayQuestions
from net.relay.service import AllowRelay, RelayService
from net.secure.stream import SecureStream

log = logging.getLogger(__name__)


class RelayHost:
    """A relay and its door. `allow` decides who may `reserve` and who may `connect`."""

    def __init__(
        self,
        key_pair: KeyPair,
        *,
        limits: RelayLimits | None = None,
        allow: AllowRelay | None = None,
    ) -> None:
        self.service: RelayService | None = None
        """The relay, once it has begun."""
        self._limits = limits
        self._allow = allow
        self._reception = Reception(key_pair, allow=self._let_in, receive=self._receive)

    def arrived(self, carrier: Carrier) -> None:
        """Take a carrier that somebody has opened."""
        self._reception.arrived(carrier)

    async def begin(self, dht: DhtNode, addresses: Sequence[Address]) -> int:
        """Relay from now on, and announce it; returns how many nodes of the DHT know it.

        Nobody but this node itself may be there to be told: those who have its address
        find it all the same.
        """
        self.service = RelayService(self._limits, allow=self._allow, questions=RelayQuestions(dht))
        try:
            return await dht.announce(relay_topic(), addresses[:MAX_ADDRESSES])
        except NetError as error:
            log.warning("nobody is told of this relay: %s", error)
            return 0

    async def close(self) -> None:
        """Serve nobody any more. Closing twice is harmless."""
        await self._reception.close()
        if self.service is not None:
            self.service.close()

    def _let_in(self, key: bytes, protocol: str) -> bool:  # noqa: ARG002 - the service asks `allow`
        return protocol == PROTOCOL and self.service is not None

    async def _receive(self, stream: SecureStream) -> None:
        assert self.service is not None, "nobody is let in before"
        self.service.serve(stream)
        try:
            await stream.wait_closed()
        finally:
            stream.abort()
