"""Local discovery with real sockets, on loopback and in a network of each test's own."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from feedlog.keys import KeyPair
from net.discovery import Discovery, PeerAddress
from net.errors import ClosedError, ListenError
from net.lan.discovery import LanDiscovery
from net.lan.hashing import groups, network_key
from net.lan.links import PORT
from tests.reference.interfaces import Interface

TOPIC = bytes(range(20))
HERE = ["127.0.0.1"]


async def first(discovery: Discovery, topic: bytes = TOPIC) -> PeerAddress:
    async with contextlib.aclosing(discovery.lookup(topic)) as peers:
        return await anext(peers)


async def test_two_find_each_other() -> None:
    secret = os.urandom(16)
    pair = KeyPair.generate()
    async with (
        LanDiscovery(pair, HERE, secret=secret) as one,
        LanDiscovery(KeyPair.generate(), HERE, secret=secret) as two,
    ):
        assert await one.announce(TOPIC, [("127.0.0.1", 4000)]) == 0
        assert await first(two) == PeerAddress(pair.public_key, (("127.0.0.1", 4000),))
        assert [peer async for peer in one.lookup(TOPIC)] == []
        await one.unannounce(TOPIC)
        while [peer async for peer in two.lookup(TOPIC)]:
            pass  # what was on its way


async def test_garbage_to_the_group_does_no_harm() -> None:
    secret = os.urandom(16)
    group = socket.inet_ntoa(groups(network_key(secret))[0])
    async with (
        LanDiscovery(KeyPair.generate(), HERE, secret=secret) as one,
        LanDiscovery(KeyPair.generate(), HERE, secret=secret) as two,
    ):
        await one.announce(TOPIC, [("127.0.0.1", 4000)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            here = socket.inet_aton("127.0.0.1")
            noise.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            for size in range(0, 1400, 7):
                noise.sendto(os.urandom(size), (group, PORT))
            assert (await first(two)).addresses == (("127.0.0.1", 4000),)
            while not two.counters["malformed"]:
                assert (await first(two)).addresses == (("127.0.0.1", 4000),)


async def test_a_host_whose_interface_is_pulled_out_and_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Needs root, as the test bed of real routers does."""
    secret = os.urandom(16)
    with Interface() as interface:
        async with LanDiscovery(KeyPair.generate(), [interface.host], secret=secret) as one:
            await one.announce(TOPIC, [("192.0.2.1", 4000)])
            interface.pull_out()
            assert [peer async for peer in one.lookup(TOPIC)] == []
            interface.plug_in()
            while f"{interface.host} is on another interface" not in caplog.text:
                assert [peer async for peer in one.lookup(TOPIC)] == []
            assert one.interfaces == [interface.host]
            async with LanDiscovery(KeyPair.generate(), [interface.host], secret=secret) as two:
                assert ("192.0.2.1", 4000) in (await first(two)).addresses


async def test_its_life() -> None:
    lan = LanDiscovery(KeyPair.generate(), HERE, secret=os.urandom(16))
    with pytest.raises(ClosedError, match="not running"):
        await lan.announce(TOPIC, [("127.0.0.1", 4000)])
    await lan.start()
    with pytest.raises(RuntimeError, match="before"):
        await lan.start()
    assert lan.interfaces == HERE
    peers = lan.lookup(TOPIC)
    await lan.close()
    await lan.close()
    with pytest.raises(ClosedError):
        await anext(peers)


async def test_a_machine_without_the_host() -> None:
    lan = LanDiscovery(KeyPair.generate(), ["203.0.113.254"])
    with pytest.raises(ListenError, match="no multicast"):
        await lan.start()
    await lan.close()
