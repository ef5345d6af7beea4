"""Relays and one node: where it waits for circuits, how it uses them, and its own service.

A node that others cannot reach directly keeps places at relays, and its announcements name
them. One that the DHT cannot hear, because no UDP passes, asks the relays for what it would
ask the DHT; the nodes that it was told of are tried as relays then, over TCP.

Invariant: places are looked for while `wanted()` says so, or nobody of the DHT answers.
Must not know what passes over a circuit: the node's own handshake runs on each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial

from feedlog import KeyPair
from net.addresses import Address, RelayAddress, format_address, is_numeric
from net.carriers.base import Carrier
from net.carriers.medium import Medium
from net.carriers.ports import Ports
from net.dht.hashing import relay_topic
from net.discovery import Discovery, PeerAddress
from net.reaching.dial import Way, dial, ways_to
from net.relay.client import RelayClient
from net.relay.keeper import RelayKeeper
from net.relay.link import RelayLink
from net.relay.messages import PROTOCOL
from net.relay.service import RelayService
from net.secure.opening import open_stream
from net.secure.stream import SecureStream

LOOK = 2.0
"""Seconds between two looks at whether relays are wanted."""
PATIENCE = 5.0
"""Seconds that the start of a node which nobody answers takes to find a relay."""
CIRCUIT_TIMEOUT = 15.0
"""Seconds for a circuit and the handshake over it."""
UNDER_WAY = 2.5
"""Seconds that a punch is given before a circuit is made: blind probes take two."""

NOBODY = b""
"""In place of the key of a relay of which only the address is known."""


class Relaying:
    """All that one node has to do with relays.

    `arrived` is given the circuits that others make to us, if `allow` has nothing against
    the key that the relay claims for them; `changed` is called when our places change.
    """

    def __init__(
        self,
        key_pair: KeyPair,
        ports: Ports,
        bootstrap: Sequence[Address],
        *,
        arrived: Callable[[Carrier], None],
        allow: Callable[[bytes], bool],
        changed: Callable[[], None],
    ) -> None:
        self._key_pair = key_pair
        self._ports = ports
        self._bootstrap = tuple(bootstrap)
        self._discovery: Discovery | None = None
        self._task: asyncio.Task[None] | None = None
        self._looking = asyncio.Event()
        self._client = RelayClient(self._dial)
        self._keeper = RelayKeeper(self._client, self._find, arrived, allow=allow, changed=changed)
        self.service: RelayService | None = None
        """Ours for others, if there is one."""

    @property
    def places(self) -> tuple[RelayAddress, ...]:
        """The relays at which we wait."""
        return self._keeper.relays

    @property
    def links(self) -> list[RelayLink]:
        """The streams to them, by which they can be asked."""
        return self._keeper.links

    def start(self, discovery: Discovery, wanted: Callable[[], bool]) -> None:
        """Begin to look whether relays are wanted, and to ask a discovery which there are."""
        self._discovery = discovery
        self._task = asyncio.get_running_loop().create_task(self._look(wanted))

    def look(self) -> None:
        """See at once whether relays are wanted."""
        self._looking.set()

    def seek(self) -> None:
        """Begin to look for relays."""
        self._keeper.start()

    async def settle(self) -> None:
        """Wait a little for the outcome of `seek`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._keeper.settled()

    async def close(self) -> None:
        """Give up our places, and serve others no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._keeper.close()
        if self.service is not None:
            self.service.close()

    def ways(self, peer: PeerAddress, behind: str) -> list[Way]:
        """Return the ways to a peer over the relays where it waits, which let `behind` go first."""
        return [
            Way(
                Medium.RELAY,
                f"{Medium.RELAY} {format_address(relay.address)}",
                partial(self._client.connect, relay, peer.public_key),
                CIRCUIT_TIMEOUT,
                behind=(behind, UNDER_WAY),
            )
            for relay in peer.relays
        ]

    async def _look(self, wanted: Callable[[], bool]) -> None:
        while not wanted():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._looking.wait()
            self._looking.clear()
        self.seek()

    async def _find(self) -> AsyncGenerator[RelayAddress]:
        for address in self._bootstrap:
            yield RelayAddress(NOBODY, address)
        if self._discovery is None:
            return
        lookup = self._discovery.lookup(relay_topic())
        async with contextlib.aclosing(lookup) as peers:
            async for peer in peers:
                if peer.public_key != self._key_pair.public_key:
                    for address in peer.addresses:
                        yield RelayAddress(peer.public_key, address)

    def _dial(self, relay: RelayAddress) -> Awaitable[SecureStream]:
        quic = self._ports.quic if is_numeric(relay.address[0]) else None
        secure = partial(
            open_stream,
            key_pair=self._key_pair,
            remote_key=relay.public_key or None,
            protocol=PROTOCOL,
        )
        return dial(ways_to([relay.address], quic), secure)
