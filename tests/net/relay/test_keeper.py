"""Keeping places at several relays, each of which may vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from feedlog.keys import KeyPair
from net.addresses import RelayAddress
from net.carriers.base import Carrier
from net.carriers.memory import memory_pair
from net.errors import ConnectError
from net.relay.client import RelayClient
from net.relay.keeper import WANTED, RelayKeeper
from net.relay.limits import RelayLimits
from net.relay.messages import PROTOCOL
from net.relay.service import RelayService
from net.secure.opening import accept_stream, open_stream
from net.secure.stream import SecureStream
from tests.reference.relays import until
from tests.reference.wire import ALICE, BOB


class Relays:
    """Relays by number; one that is down cannot be reached."""

    def __init__(self, count: int, limits: RelayLimits | None = None) -> None:
        self.keys = [KeyPair.from_seed((b"relay %d" % n).ljust(32)) for n in range(count)]
        self.services = [RelayService(limits) for _ in self.keys]
        self.down: set[int] = set()
        self.known = list(range(count))
        self.searches = 0

    def address(self, number: int) -> RelayAddress:
        return RelayAddress(self.keys[number].public_key, ("192.0.2.1", 4000 + number))

    def client(self, key_pair: KeyPair) -> RelayClient:
        async def dial(relay: RelayAddress) -> SecureStream:
            number = relay.address[1] - 4000
            if number in self.down:
                raise ConnectError(f"relay {number} is down")
            near, far = memory_pair()
            ours, theirs = await asyncio.gather(
                open_stream(near, key_pair, relay.public_key or None, protocol=PROTOCOL),
                accept_stream(far, self.keys[number]),
            )
            self.services[number].serve(theirs)
            return ours

        return RelayClient(dial)

    async def find(self) -> AsyncGenerator[RelayAddress, None]:
        self.searches += 1
        for number in self.known:
            yield self.address(number)

    def stop(self, number: int) -> None:
        self.down.add(number)
        self.services[number].close()

    @property
    def waiting(self) -> list[int]:
        return [number for number, relay in enumerate(self.services) if relay.reservations]


async def test_it_waits_at_some_and_replaces_one_that_leaves() -> None:
    relays, changes = Relays(5), list[tuple[RelayAddress, ...]]()
    circuits: list[Carrier] = []
    keeper = RelayKeeper(
        relays.client(BOB),
        relays.find,
        circuits.append,
        changed=lambda: changes.append(keeper.relays),
    )
    keeper.start()
    keeper.start()
    await keeper.settled()
    assert len(keeper.relays) == len(relays.waiting) == WANTED
    assert len(changes) == WANTED
    first = relays.waiting[0]
    relays.stop(first)
    await until(lambda: len(keeper.relays) == WANTED and relays.address(first) not in keeper.relays)
    assert len(changes) == WANTED + 2
    carrier = await relays.client(ALICE).connect(keeper.relays[0], BOB.public_key)
    await until(lambda: circuits)
    carrier.abort()
    await keeper.close()
    await keeper.close()
    await until(lambda: not relays.waiting)
    for service in relays.services:
        service.close()


async def test_it_goes_on_with_fewer_and_looks_again() -> None:
    relays = Relays(2, RelayLimits(reservations=1))
    await relays.client(ALICE).reserve(relays.address(0), lambda _: None)
    relays.down.add(1)
    keeper = RelayKeeper(relays.client(BOB), relays.find, lambda _: None)
    keeper.start()
    await keeper.settled()
    assert not list(keeper.relays)
    relays.known.append(2)
    relays.keys.append(KeyPair.from_seed(b"another".ljust(32)))
    relays.services.append(RelayService())
    keeper.wake()
    await until(lambda: keeper.relays)
    assert list(keeper.relays) == [relays.address(2)]
    assert [link.round_trip is not None for link in keeper.links] == [True]
    await keeper.close()
    for service in relays.services:
        service.close()


async def test_a_relay_known_by_its_address_only_proves_its_key() -> None:
    relays = Relays(1)

    async def find() -> AsyncGenerator[RelayAddress, None]:
        for key in (b"", relays.keys[0].public_key):
            yield RelayAddress(key, ("192.0.2.1", 4000))

    keeper = RelayKeeper(relays.client(BOB), find, lambda _: None)
    keeper.start()
    await keeper.settled()
    assert keeper.relays == (relays.address(0),)
    handshakes = relays.services[0]._numbers
    for _ in range(3):
        await keeper._search()
        await keeper._fill()
    assert relays.services[0]._numbers == handshakes, "a relay that we have is not tried again"
    await keeper.close()
    relays.services[0].close()


async def test_a_search_that_fails_is_no_reason_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    relays = Relays(1)

    async def find() -> AsyncGenerator[RelayAddress, None]:
        yield relays.address(0)
        raise ConnectError("no network")

    keeper = RelayKeeper(relays.client(BOB), find, lambda _: None)
    with caplog.at_level("DEBUG"):
        keeper.start()
        await keeper.settled()
    assert "no network" in caplog.text
    assert len(keeper.relays) == 1
    await keeper.close()
    relays.services[0].close()
