"""Who enters the table, and who is asked whether it is still there."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from feedlog.errors import DecodeError
from feedlog.keys import KeyPair
from net.addresses import pack_address
from net.dht.acquaintance import MAX_VERIFYING, STALE_AFTER, Acquaintance
from net.dht.contacts import Contact
from net.dht.datagrams import Request, decode_datagram, encode_response
from net.dht.exchange import Exchange
from net.dht.hashing import node_id, ping_signable
from net.dht.messages import Ping, Pong
from net.dht.routing import Table
from tests.reference.dht_network import address_of

ME = KeyPair.from_seed(bytes(32))
OTHER = KeyPair.from_seed(bytes(31) + b"1")
HERE, THERE = address_of(1), address_of(2)


class World:
    def __init__(self) -> None:
        self.table = Table(node_id(ME.public_key))
        self.exchange = Exchange(Random(1), Counter())
        self.met = Acquaintance(self.table, self.exchange, b"", Random(1))

    def pinged(self) -> list[tuple[bytes, tuple[str, int]]]:
        requests = []
        for data, address in self.exchange.datagrams_to_send():
            request = decode_datagram(data)
            assert isinstance(request, Request)
            assert isinstance(request.arguments, Ping)
            requests.append((request.message_id, address))
        return requests

    def prove(self, signer: KeyPair, claimed: bytes) -> tuple[Contact, bool]:
        """Have somebody answer the ping that its request draws."""
        self.met.came(claimed, THERE, 0.0)
        ((message_id, _),) = self.pinged()
        signable = ping_signable(message_id, pack_address(HERE))
        pong = Pong(signer.public_key, signer.sign(signable))
        received = self.exchange.receive(encode_response(message_id, HERE, pong), THERE, 0.0)
        assert received is not None
        assert not isinstance(received, Request)
        self.met.over(THERE)
        return self.met.proven(*received, 0.0)


def test_who_proves_its_id_enters() -> None:
    world = World()
    contact = Contact(node_id(OTHER.public_key), THERE)
    assert world.prove(OTHER, contact.id) == (contact, True)
    assert contact.id in world.table
    world.met.came(contact.id, THERE, 0.0)
    assert world.pinged() == []  # it is known


@pytest.mark.parametrize("claimed", [bytes(20), node_id(ME.public_key)])
def test_another_id_than_that_of_the_key_does_not(claimed: bytes) -> None:
    world = World()
    if claimed == node_id(ME.public_key):
        world.met.came(claimed, THERE, 0.0)
        assert world.pinged() == []
    else:
        with pytest.raises(DecodeError, match="not the one that the id was made of"):
            world.prove(OTHER, claimed)
    assert len(world.table) == 0


def test_those_who_come_by_themselves_are_bounded() -> None:
    world = World()
    for number in range(2 * MAX_VERIFYING):
        world.met.came(number.to_bytes(20, "big"), address_of(number), 0.0)
    assert len(world.met) == len(world.pinged()) == MAX_VERIFYING
    world.met.came(b"", address_of(999), 0.0)
    assert world.pinged() == []


def test_who_is_silent_for_long_is_pinged() -> None:
    world = World()
    world.prove(OTHER, node_id(OTHER.public_key))
    world.met.check(STALE_AFTER - 1)
    assert world.pinged() == []
    world.met.check(STALE_AFTER)
    assert [address for _, address in world.pinged()] == [THERE]


def test_a_part_of_the_id_space_shares_so_many_bits() -> None:
    world = World()
    own = int.from_bytes(world.table.own_id, "big")
    for part in (0, 1, 7, 24):
        target = int.from_bytes(world.met.somewhere([part, 99]), "big")
        assert 160 - (own ^ target).bit_length() == part
