"""Where this machine is, as its routes and others say."""

from __future__ import annotations

from feedlog.keys import KeyPair
from net.addresses import Address
from net.carriers.udp import UdpSocket
from net.dht.node import DhtNode
from net.dht.own_hosts import OwnHosts
from net.punch.classify import NatClass, NatReport
from tests.reference.files import no_file_left

CONTACT, US = ("127.0.0.1", 9), ("203.0.113.5", 7)


def nobody() -> list[Address]:
    return []


async def test_a_bound_host_is_the_only_one_of_our_own() -> None:
    udp = await UdpSocket.open("127.0.0.2")
    port = udp.addresses[0][1]
    own = OwnHosts(udp, nobody)
    assert own.sources() == ["127.0.0.2"]
    assert own.hosts(US) == ["203.0.113.5", "127.0.0.2"]  # loopback is for this machine only
    assert own.address(US) == ("127.0.0.2", port)
    assert [own.is_own(("127.0.0.2", p)) for p in (port, port + 1)] == [True, False]
    assert not own.is_own(US)
    udp.close()


async def test_everywhere_is_where_packets_to_the_contacts_leave() -> None:
    udp = await UdpSocket.open("0.0.0.0")
    port = udp.addresses[0][1]
    own = OwnHosts(udp, lambda: [CONTACT, ("::1", 9)])
    assert "127.0.0.1" in own.sources()
    assert all(":" not in host for host in own.sources())
    assert own.is_own(("127.0.0.1", port))
    assert own.address(None) == (own.hosts(None)[0], port)
    assert [own.reaches(target) for target in (CONTACT, ("::1", 9))] == [True, False]
    udp.close()


async def test_a_router_is_told_from_what_others_see() -> None:
    udp = await UdpSocket.open("127.0.0.2")
    own = OwnHosts(udp, nobody)
    assert own.nat({}) == NatReport(NatClass.UNKNOWN, None)
    witnesses = [("198.51.100.1", 9), ("198.51.100.2", 9), ("192.0.2.3", 9)]
    assert own.nat(dict.fromkeys(witnesses, US)) == NatReport(NatClass.CONSISTENT, US)
    here = udp.addresses[0]
    assert own.nat(dict.fromkeys(witnesses, here)) == NatReport(NatClass.OPEN, here)
    udp.close()


async def test_without_a_file_to_look_with_it_is_where_it_was() -> None:
    """Else it would be announced at no host of its own, and answers would be lost on their way."""
    async with DhtNode(KeyPair.generate(), await UdpSocket.open("0.0.0.0")) as first:
        other = DhtNode(
            KeyPair.generate(),
            await UdpSocket.open("0.0.0.0"),
            bootstrap=[first.address],
        )
        other.listen()
        before = other.hosts()
        with no_file_left():
            assert await other.join() == 1
            assert other.hosts()[: len(before)] == before
            assert other.nat.public is not None
        await other.close()
        other._udp.close()
    first._udp.close()


async def test_the_hosts_to_announce() -> None:
    everywhere = await UdpSocket.open("0.0.0.0")
    here = await UdpSocket.open("127.0.0.2")
    first = DhtNode(KeyPair.generate(), here)
    await first.start()
    assert first.hosts() == ["127.0.0.2"]
    second = DhtNode(KeyPair.generate(), everywhere, bootstrap=[first.address])
    await second.start()
    hosts = second.hosts()
    assert "127.0.0.1" in hosts  # from there first is reached, and there it sees us
    assert hosts == sorted(hosts, key=lambda host: host == "127.0.0.1")
    assert second.address.rpartition(":")[0] == hosts[0]
    for node, udp in ((first, here), (second, everywhere)):
        await node.close()
        await node.close()
        udp.close()
