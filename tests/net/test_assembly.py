"""The parts of a node, before and while it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from feedlog import Store
from net.assembly import Assembly
from net.carriers.ports import Ports
from net.carriers.tcp import connect_tcp
from net.errors import ClosedError, NetError
from net.finding.network import Network
from net.parts import Parts
from net.reaching.streams import Streams
from net.relay.limits import RelayLimits
from net.replicate.throttle import Throttle
from net.secure.opening import open_stream
from net.secure.stream import SecureStream
from net.sharing.connection import PROTOCOL as CHANNELS
from net.sharing.feeds import Feeds
from tests.reference.relays import until
from tests.reference.wire import ALICE, BOB


class Owner:
    """What a node is to its assembly."""

    def __init__(self) -> None:
        self.parts: Parts | None = None
        self.built: list[Parts] = []
        self.feeds = Feeds(
            Store.memory(),
            BOB.public_key,
            allow=None,
            upload=Throttle(),
            download=Throttle(),
            asked=lambda: "",
        )

    def running(self) -> Parts:
        if self.parts is None:
            raise ClosedError("the node is not running")
        return self.parts

    def assembly(self, **options: Any) -> Assembly:
        told: dict[str, Any] = {
            "hosts": ("127.0.0.1",),
            "port": 0,
            "network": partial(Network, BOB),
            "relay_limits": None,
        }
        return Assembly(
            key_pair=BOB,
            bootstrap=(),
            more=(),
            relay_allow=None,
            feeds=self.feeds,
            streams=Streams(BOB.public_key),
            running=self.running,
            **(told | options),
        )

    async def build(self, **options: Any) -> Parts:
        parts = await self.assembly(**options).build()
        self.built.append(parts)
        return parts

    async def close(self) -> None:
        self.parts = None
        await self.feeds.close()
        for parts in self.built:
            await parts.reception.close()
            await parts.network.close()
            parts.ports.close()


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    owner = Owner()
    yield owner
    await owner.close()


async def visit(parts: Parts) -> SecureStream:
    carrier = await connect_tcp("127.0.0.1", parts.ports.number)
    return await open_stream(carrier, ALICE, BOB.public_key, protocol=CHANNELS)


async def test_nobody_is_let_in_before_the_node_runs_and_after(owner: Owner) -> None:
    parts = await owner.build()
    with pytest.raises(NetError):
        await visit(parts)
    owner.parts = parts
    stream = await visit(parts)
    await until(lambda: owner.feeds.peers == [ALICE.public_key])
    stream.abort()
    owner.parts = None
    with pytest.raises(NetError):
        await visit(parts)


async def test_who_asks_for_a_hole_when_it_is_over_gets_none(owner: Owner) -> None:
    assembly = owner.assembly()
    assert not await assembly._admits(ALICE.public_key)
    assembly._places_changed()  # and nobody hears of relays that are left


async def test_ports_are_closed_when_a_part_cannot_be(owner: Owner) -> None:
    opened: list[Ports] = []

    def network(ports: Ports, **options: Any) -> Network:
        opened.append(ports)
        return Network(BOB, ports, network_key=b"short", **options)

    with pytest.raises(ValueError, match="32 bytes"):
        await owner.build(network=partial(network))
    (ports,) = opened
    assert set(ports.listener._sockets.values()) == {None}
    with pytest.raises(ClosedError):
        await ports.quic.connect(("127.0.0.1", 9))


async def test_only_a_relay_passes_on(owner: Owner) -> None:
    assert (await owner.build()).relaying.service is None
    assert (await owner.build(relay_limits=RelayLimits())).relaying.service is not None
