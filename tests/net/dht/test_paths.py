"""Several ways to one target: who is asked for which, and when each has come to its end."""

from __future__ import annotations

from net.addresses import Address
from net.dht.candidates import Candidates, State
from net.dht.contacts import Contact
from net.dht.paths import ENOUGH, MAX_ATTEMPTS, MAX_REQUESTS, PATH_HOLDERS, PATH_WANT, Paths
from net.dht.query import WANT, Query
from tests.reference.dht_network import address_of


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def numbers(contacts: list[Contact]) -> list[int]:
    return [int.from_bytes(one.id, "big") for one in contacts]


class World:
    """Paths on which everybody who is asked answers at once, and names nobody."""

    def __init__(self, count: int, suspects: frozenset[Address] = frozenset()) -> None:
        self.candidates = Candidates(bytes(20), suspects)
        self.paths = Paths(count, self.candidates)

    def ask(self) -> tuple[int, int] | None:
        """Ask the next; returns who it was, and for which path."""
        chance = self.paths.next(WANT)
        if chance is None:
            return None
        candidate, path = chance
        self.paths.ask(candidate, path)
        self.candidates.answered(candidate, candidate.contact.address)
        return int.from_bytes(candidate.contact.id, "big"), path


def test_contacts_are_dealt_in_turn_and_the_path_that_asked_least_asks() -> None:
    world = World(2)
    for n in range(1, 7):
        world.paths.begin(contact(n))
    assert [world.ask() for _ in range(6)] == [(1, 0), (2, 1), (3, 0), (4, 1), (5, 0), (6, 1)]
    assert world.paths.sent == 6


def test_a_path_ends_with_its_closest_and_the_closest_of_all_are_asked_then() -> None:
    world = World(2)
    world.candidates.learn([contact(n) for n in range(1, 9)], None, 0)
    world.candidates.learn([contact(n) for n in range(100, 104)], None, 1)
    assert world.paths.open(WANT) == [0, 1]
    asked = [world.ask() for _ in range(2 * PATH_WANT)]
    assert {one for one in asked if one and one[1] == 1} == {(100, 1), (101, 1), (102, 1)}
    assert world.paths.open(WANT) == []
    assert world.ask() == (4, 0)


def test_a_path_that_has_sent_its_share_is_over() -> None:
    world = World(2)
    world.candidates.learn([contact(1)], None, 0)
    world.candidates.learn([contact(2)], None, 1)
    for _ in range(MAX_REQUESTS // 2):
        world.paths.ask(next(iter(world.candidates)), 0)
    assert world.paths.open(WANT) == [1]
    assert (world.ask(), world.ask()) == ((2, 1), None)


def test_suspects_come_after_all_and_the_silent_only_while_few_have_answered() -> None:
    world = World(1, suspects=frozenset([address_of(1)]))
    for n in range(1, ENOUGH + 1):
        world.paths.begin(contact(n))
    silent = world.candidates.get(contact(2).id)
    assert silent is not None
    silent.state, silent.attempts = State.LATE, 1
    assert [world.ask() for _ in range(ENOUGH - 1)] == [(3, 0), (1, 0)]
    assert world.paths.next(WANT) == (silent, 0)
    silent.attempts = MAX_ATTEMPTS
    assert world.paths.next(WANT) is None
    silent.attempts = 1
    world.paths.begin(contact(9))
    assert (world.ask(), world.ask()) == ((9, 0), None)


def test_each_path_has_its_share_of_those_that_are_to_hold_something() -> None:
    world = World(2)
    world.candidates.learn([contact(n) for n in range(1, WANT + 1)], None, 0)
    world.candidates.learn([contact(n) for n in range(100, 104)], None, 1)
    while world.ask() is not None:
        pass
    chosen = numbers(world.paths.chosen(WANT))
    assert len(chosen) == WANT
    assert [n for n in chosen if n >= 100] == [100, 101]
    assert PATH_HOLDERS == 2


def test_what_one_path_is_told_is_not_followed_by_the_others() -> None:
    query = Query(bytes(20), paths=2)
    query.start([contact(100), contact(101)])
    liar, honest = query.requests(0.0)
    query.answered(liar, liar.id, [contact(n) for n in range(1, 10)])
    query.answered(honest, honest.id, [contact(n) for n in range(50, 60)])
    asked = []
    while not query.done:
        for one in query.requests(0.0):
            asked.append(int.from_bytes(one.id, "big"))
            query.answered(one, one.id, [])
    assert {50, 51} <= set(asked)
    chosen = numbers(query.chosen())
    assert len(chosen) == WANT
    assert {50, 51} <= set(chosen)
