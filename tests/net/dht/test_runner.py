"""How operations run: what they send, how they end, and what the next ones know of it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from net.dht.announcement_operations import Search
from net.dht.contacts import Contact
from net.dht.exchange import Exchange
from net.dht.joining import GIVE_WAY, Explore, Join
from net.dht.operations import Operation
from net.dht.query import WIDTH
from net.dht.routing import Table
from net.dht.runner import Runner
from net.dht.schedule import MAX_OPERATIONS
from net.dht.suspects import Suspects
from tests.reference.dht_network import address_of

ME, TARGET = b"\x01" * 20, bytes(20)


class World:
    def __init__(self, contacts: int) -> None:
        self.table = Table(ME)
        self.contacts = [Contact(bytes([n]) * 20, address_of(n)) for n in range(2, contacts + 2)]
        for contact in self.contacts:
            self.table.add(contact, 0.0)
        self.exchange = Exchange(Random(1), Counter())
        self.suspects = Suspects()
        self.over: list[tuple[int, Operation]] = []
        self.runner = Runner(
            self.exchange, self.table, self.suspects, lambda n, o, _: self.over.append((n, o))
        )

    def search(self) -> int:
        return self.runner.begin(Search(ME, self.runner.query(TARGET, 0.0)), 0.0)


@pytest.fixture
def world() -> World:
    return World(6)


def test_a_crawl_begins_with_the_contacts_of_the_table(world: World) -> None:
    world.search()
    asked = [address for _, address in world.exchange.datagrams_to_send()]
    assert asked == [contact.address for contact in world.contacts[:4]]


def test_with_nobody_to_ask_it_ends_at_once() -> None:
    world = World(0)
    number = world.search()
    assert [ended for ended, _ in world.over] == [number]


def test_who_was_silent_is_suspected(world: World) -> None:
    number = world.search()
    now = 0.0
    while not world.over:
        now += world.runner.patience
        for call in world.exchange.expire(now):
            operation = world.runner.schedule.get(number)
            if operation is not None:
                operation.failed(call.contact, call.arguments)
        world.runner.advance(number, now)
        assert now < 60.0
    silent = {contact.address for contact in world.contacts}
    assert world.suspects.at(now) == silent
    world.runner.advance(number, now)
    assert len(world.over) == 1


def test_patience_that_was_learned_meanwhile_is_that_of_what_runs(world: World) -> None:
    number = world.search()
    for _ in range(64):
        world.exchange.round_trips.add(0.6)
    world.runner.advance(number, 0.1)
    operation = world.runner.schedule.get(number)
    assert operation is not None
    assert operation.query.patience == world.runner.patience == pytest.approx(0.9)


def test_one_that_rests_sends_nothing_and_does_not_end(world: World) -> None:
    search = Search(ME, world.runner.query(TARGET, 0.0))
    search.resting = True
    number = world.runner.begin(search, 0.0)
    world.runner.advance(number, 1.0)
    assert (world.exchange.datagrams_to_send(), search.next_timeout(), world.over) == ([], None, [])
    world.runner.go_on(number, 2.0)
    assert len(world.exchange.datagrams_to_send()) == WIDTH
    world.runner.go_on(number, 2.0)  # it rests no more: nothing happens
    assert world.exchange.datagrams_to_send() == []


def test_one_that_rests_lets_another_begin(world: World) -> None:
    first, *_, last = [world.search() for _ in range(MAX_OPERATIONS + 1)]
    assert world.runner.schedule.get(last) is None
    resting = world.runner.schedule.get(first)
    assert resting is not None
    resting.resting = True
    world.runner.advance(first, 0.0)
    assert world.runner.schedule.get(last) is not None


def test_one_that_rests_while_it_waits_for_its_turn_goes_on_in_its_turn(world: World) -> None:
    others = [world.search() for _ in range(MAX_OPERATIONS)]
    search = Search(ME, world.runner.query(TARGET, 0.0))
    search.resting = True
    number = world.runner.begin(search, 0.0)
    world.runner.go_on(number, 0.0)
    world.exchange.datagrams_to_send()
    world.runner.cancel(others[0], 0.0)
    assert len(world.exchange.datagrams_to_send()) == WIDTH


def explore(world: World) -> Explore:
    exploring = Explore(ME, world.runner.query(b"\x03" * 20, 0.0), [0], 0.0)
    world.runner.begin(exploring, 0.0)
    return exploring


def test_exploring_gives_way_until_the_others_are_over(world: World) -> None:
    first = explore(world)
    assert len(world.exchange.datagrams_to_send()) == WIDTH
    number = world.search()
    second = explore(world)
    assert len(world.exchange.datagrams_to_send()) == WIDTH
    assert [one.resting for one in (first, second)] == [True, True]
    assert [one.next_timeout() for one in (first, second)] == [GIVE_WAY, GIVE_WAY]
    world.runner.cancel(number, 0.1)
    assert [one.resting for one in (first, second)] == [False, False]
    assert len(world.exchange.datagrams_to_send()) == WIDTH  # of the second; the first has asked


def test_exploring_gives_way_for_some_seconds_only(world: World) -> None:
    world.search()
    explore(world)
    number = world.runner.schedule.numbers()[-1]
    world.exchange.datagrams_to_send()
    world.runner.advance(number, GIVE_WAY - 0.1)
    assert world.exchange.datagrams_to_send() == []
    world.runner.advance(number, GIVE_WAY)
    assert len(world.exchange.datagrams_to_send()) == WIDTH


MANY = 1500
"""More than Python lets calls stand on one another."""


def test_many_that_wait_for_a_network_that_is_not_there_end_one_after_another() -> None:
    world = World(0)
    join = world.runner.begin(Join(ME, world.runner.query(ME, 0.0), [address_of(9)]), 0.0)
    waiting = [world.search() for _ in range(MANY)]
    assert world.over == []
    world.runner.cancel(join, 0.0)
    assert [number for number, _ in world.over] == waiting


def test_many_that_rest_before_their_turn_take_no_place(world: World) -> None:
    busy = [world.search() for _ in range(MAX_OPERATIONS)]
    for _ in range(MANY):
        search = Search(ME, world.runner.query(TARGET, 0.0))
        search.resting = True
        world.runner.begin(search, 0.0)
    last = world.search()
    world.runner.cancel(busy[0], 0.0)
    asked = [n for n in world.runner.schedule.numbers() if n in (*busy, last)]
    assert asked == [*busy[1:], last]


def test_one_that_is_cancelled_concludes_nothing(world: World) -> None:
    number = world.search()
    operation = world.runner.schedule.get(number)
    assert world.runner.cancel(number, 0.0) is operation is not None
    assert world.runner.cancel(number, 0.0) is None
    world.runner.advance(number, 9.0)
    assert world.over == []
    assert len(world.runner.schedule) == 0
