"""A relay and its clients in one process, over carriers of choice, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from feedlog.keys import KeyPair
from net.addresses import RelayAddress
from net.carriers.base import Carrier
from net.carriers.memory import memory_pair
from net.relay.client import RelayClient
from net.relay.limits import RelayLimits
from net.relay.messages import PROTOCOL
from net.relay.service import AllowRelay, Questions, RelayService
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.wire import ALICE, BOB

RELAY = KeyPair.from_seed(b"relay".ljust(32))
ADDRESS = RelayAddress(RELAY.public_key, ("192.0.2.1", 4000))


async def streams_between(left: KeyPair, right: KeyPair) -> tuple[SecureStream, SecureStream]:
    """Return both ends of a secure stream over an in-memory carrier."""
    near, far = memory_pair()
    return await asyncio.gather(
        open_stream(near, left, right.public_key), accept_stream(far, right)
    )


async def until(holds: Callable[[], object]) -> None:
    """Let the event loop turn until something holds."""
    for _ in range(100_000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came about")


class RelayBed:
    """One relay; `client(key_pair)` makes clients of it that come by in-memory carriers."""

    def __init__(
        self,
        limits: RelayLimits | None = None,
        *,
        allow: AllowRelay | None = None,
        questions: Questions | None = None,
        pair: Callable[[], tuple[Carrier, Carrier]] = memory_pair,
    ) -> None:
        self.service = RelayService(limits, allow=allow, questions=questions)
        self.streams: list[SecureStream] = []
        """The relay's ends."""
        self._pair = pair

    async def stream(self, key_pair: KeyPair) -> SecureStream:
        """Return a client's stream, which the relay serves."""
        near, far = self._pair()
        ours, theirs = await asyncio.gather(
            open_stream(near, key_pair, RELAY.public_key, protocol=PROTOCOL),
            accept_stream(far, RELAY),
        )
        self.streams.append(theirs)
        self.service.serve(theirs)
        return ours

    def client(self, key_pair: KeyPair) -> RelayClient:
        async def dial(relay: RelayAddress) -> SecureStream:
            assert relay == ADDRESS
            return await self.stream(key_pair)

        return RelayClient(dial)

    async def circuit(
        self, asking: KeyPair = ALICE, waiting: KeyPair = BOB
    ) -> tuple[Carrier, Carrier]:
        """Return both ends of a circuit."""
        arrived: asyncio.Future[Carrier] = asyncio.get_running_loop().create_future()
        await self.client(waiting).reserve(ADDRESS, arrived.set_result)
        return await self.client(asking).connect(ADDRESS, waiting.public_key), await arrived

    def close(self) -> None:
        self.service.close()
