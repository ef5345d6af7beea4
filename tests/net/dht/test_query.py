"""The crawler against simulated networks from a seed: dead nodes, liars, giant answers."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.dht.candidates import MAX_CANDIDATES, PER_AREA
from net.dht.contacts import MAX_NODES, Contact
from net.dht.paths import MAX_ATTEMPTS, MAX_REQUESTS, PATH_HOLDERS, PATHS
from net.dht.query import MAX_WIDTH, SOFT_TIMEOUT, WANT, WIDTH, Query
from tests.reference.dht_network import address_of

HARD_TIMEOUT = 1.0


def far(target: bytes, contact: Contact) -> int:
    return int.from_bytes(target, "big") ^ int.from_bytes(contact.id, "big")


@dataclass
class World:
    """Nodes that know `k` random ones and all of their own neighbourhood, as Kademlia's do."""

    seed: int
    count: int = 200
    dead: float = 0.0
    liars: float = 0.0
    delay: tuple[float, float] = (0.01, 0.1)
    lie: str = "nobody"
    now: float = 0.0
    asked: list[Contact] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng = Random(self.seed)
        self.nodes = [Contact(rng.randbytes(20), address_of(n)) for n in range(self.count)]
        shuffled = rng.sample(self.nodes, self.count)
        split = int(self.count * self.dead)
        self.dead_ones = set(shuffled[:split])
        self.lying = set(shuffled[split : split + int(self.count * self.liars)])
        self.honest = [n for n in self.nodes if n not in self.dead_ones | self.lying]
        self.target = rng.randbytes(20)
        self.sybils: list[Contact] = []

    def known_to(self, node: Contact) -> list[Contact]:
        rng = Random(node.id)
        near = heapq.nsmallest(12, self.nodes, key=lambda n: far(node.id, n))
        return near + rng.sample(self.nodes, 40)

    def answer(self, node: Contact) -> list[Contact]:
        if node in self.lying:
            rng = Random(node.id)
            near = int.from_bytes(self.target, "big") ^ rng.getrandbits(100)
            if self.lie == "nobody":  # contacts closest of all, at addresses where nobody is
                return [
                    Contact((near ^ n).to_bytes(20, "big"), address_of(rng.randrange(10**6, 2**22)))
                    for n in range(20)
                ]
            if self.lie == "giant":
                return [
                    Contact(rng.randbytes(20), address_of(rng.randrange(10**6, 2**22)))
                    for _ in range(900)
                ]
            if self.lie == "renamed":  # honest addresses under ids closest of all
                return [
                    Contact((near ^ n).to_bytes(20, "big"), victim.address)
                    for n, victim in enumerate(rng.sample(self.honest, 20))
                ]
            return self.sybils
        return sorted(self.known_to(node), key=lambda n: far(self.target, n))[:20]

    def crawl(self, start: list[Contact], paths: int = PATHS) -> Query:
        query = Query(self.target, paths=paths)
        query.start(start)
        by_address = {n.address: n for n in [*self.nodes, *self.sybils]}
        events: list[tuple[float, int, Contact, bool]] = []
        while True:
            for contact in query.requests(self.now):
                self.asked.append(contact)
                node = by_address.get(contact.address)
                alive = node is not None and node not in self.dead_ones
                wait = self.rng.uniform(*self.delay) if alive else HARD_TIMEOUT
                heapq.heappush(events, (self.now + wait, len(self.asked), contact, alive))
            asked = [c for c in query._candidates if c.state.name == "ASKED"]
            assert len(asked) <= (MAX_WIDTH if self.dead_ones or self.sybils else WIDTH)
            assert len(query._candidates) <= MAX_CANDIDATES + 20
            if query.done:
                return query
            timeout = query.next_timeout()
            if events and (timeout is None or events[0][0] <= timeout):
                self.now, _, contact, alive = heapq.heappop(events)
                if alive:
                    node = by_address[contact.address]
                    query.answered(contact, node.id, self.answer(node))
                else:
                    query.failed(contact)
            else:
                assert timeout is not None, "the crawl waits for nothing"
                self.now = timeout

    def truth(self) -> list[Contact]:
        alive = [n for n in self.nodes if n not in self.dead_ones]
        return sorted(alive, key=lambda n: far(self.target, n))[:WANT]

    def start(self) -> list[Contact]:
        own = self.rng.choice(self.honest)
        return sorted(self.known_to(own), key=lambda n: far(self.target, n))[:20]


seeds = st.integers(0, 2**32)


@given(seeds)
@settings(max_examples=25)
def test_finds_the_truly_closest_when_all_are_alive(seed: int) -> None:
    world = World(seed)
    query = world.crawl(world.start())
    assert query.answerers()[:WANT] == world.truth()
    assert len(set(query.chosen()) & set(world.truth())) >= WANT - 2
    assert len(world.asked) <= 40
    assert world.now < SOFT_TIMEOUT * 3


@given(seeds)
@settings(max_examples=25)
def test_finds_nearly_all_of_the_closest_when_a_third_is_dead(seed: int) -> None:
    world = World(seed, dead=0.3)
    query = world.crawl(world.start())
    assert len(set(query.answerers()[:WANT]) & set(world.truth())) >= WANT - 1
    assert world.now < 8 * SOFT_TIMEOUT


@given(seeds, st.sampled_from(["nobody", "giant", "renamed"]))
@settings(max_examples=40)
def test_liars_and_dead_nodes_cost_time_but_not_the_truth(seed: int, lie: str) -> None:
    world = World(seed, dead=0.15, liars=0.15, lie=lie)
    query = world.crawl(world.start())
    assert len(set(query.answerers()[: WANT + 2]) & set(world.truth())) >= WANT - 3
    assert len(world.asked) <= MAX_REQUESTS


def test_five_hundred_ids_of_one_address_count_as_three() -> None:
    world = World(5, liars=0.1, lie="sybils")
    near = int.from_bytes(world.target, "big")
    world.sybils = [
        Contact((near ^ n).to_bytes(20, "big"), ("66.66.66.66", 1000 + n)) for n in range(500)
    ]
    world.lying |= set(world.sybils)
    query = world.crawl(world.start())
    chosen = query.answerers()[:WANT]
    assert sum(contact in world.sybils for contact in chosen) <= PER_AREA
    assert len(set(chosen) & set(world.truth())) >= WANT - PER_AREA


def eclipsed(seed: int, paths: int) -> tuple[int, int]:
    """One crawl among a tenth of nodes that name only a ring of their own around the target.

    The ring's members are alive, in areas of their own, and closer than everybody else. Returns
    how many of the chosen are honest and among the closest of these, and the requests.
    """
    world = World(seed, liars=0.1, lie="ring")
    near = int.from_bytes(world.target, "big")
    world.sybils = [
        Contact((near ^ n).to_bytes(20, "big"), address_of(10**6 + 256 * n)) for n in range(1, 21)
    ]
    world.lying |= set(world.sybils)
    query = world.crawl(world.start(), paths)
    honest = sorted(set(world.honest), key=lambda n: far(world.target, n))[: 2 * WANT]
    return len(set(query.chosen()) & set(honest)), len(world.asked)


def test_a_ring_of_liars_around_the_target_hides_it_from_one_path_but_not_from_all() -> None:
    one = [eclipsed(seed, 1)[0] for seed in range(40)]
    several = [eclipsed(seed, PATHS)[0] for seed in range(40)]
    assert sum(found == 0 for found in one) >= 20
    assert sum(found == 0 for found in several) <= 2
    assert sum(found >= PATH_HOLDERS for found in several) >= 36
    assert max(eclipsed(seed, PATHS)[1] for seed in range(40)) <= MAX_REQUESTS


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def test_a_request_that_is_late_frees_its_place_and_is_still_welcome() -> None:
    query = Query(bytes(20))
    query.start(contact(n) for n in range(1, 20))
    first = query.requests(0.0)
    assert first == [contact(n) for n in range(1, WIDTH + 1)]
    assert query.requests(SOFT_TIMEOUT - 0.01) == []
    assert query.next_timeout() == SOFT_TIMEOUT
    assert query.requests(SOFT_TIMEOUT)
    query.answered(first[0], first[0].id, [])
    assert query.answerers() == [first[0]]


def test_the_window_has_another_place_for_each_that_is_silent() -> None:
    query = Query(bytes(20))
    query.start(contact(n) for n in range(1, 100))
    under_way = [len(query.requests(SOFT_TIMEOUT * turn)) for turn in range(5)]
    assert under_way == [WIDTH, 2 * WIDTH, MAX_WIDTH, MAX_WIDTH, MAX_WIDTH]


def test_an_answer_that_comes_late_makes_the_window_narrow_again() -> None:
    query = Query(bytes(20), want=50)
    query.start(contact(n) for n in range(1, 100))
    late, prompt = query.requests(0.0), query.requests(SOFT_TIMEOUT)
    for one in late:
        query.answered(one, one.id, [])
    assert query.requests(SOFT_TIMEOUT) == []
    for one in prompt[: WIDTH + 1]:
        query.answered(one, one.id, [])
    assert len(query.requests(SOFT_TIMEOUT)) == 1


def test_patience_may_change_while_a_crawl_runs() -> None:
    query = Query(bytes(20))
    query.start(contact(n) for n in range(1, 20))
    query.requests(0.0)
    query.patience = SOFT_TIMEOUT / 2
    assert query.next_timeout() == SOFT_TIMEOUT / 2
    assert query.requests(SOFT_TIMEOUT / 2)


def test_the_crawl_ends_with_the_eighth_of_the_closest() -> None:
    query = Query(bytes(20))
    query.start(contact(n) for n in range(1, 30))
    asked: list[Contact] = []
    while not query.done:
        for one in query.requests(0.0):
            asked.append(one)
            query.answered(one, one.id, [])
    assert [int.from_bytes(one.id, "big") for one in asked] == list(range(1, WANT + 1))


def test_somebody_alone_is_asked_three_times() -> None:
    query = Query(bytes(20))
    query.start([contact(1)])
    now, attempts = 0.0, 0
    for _ in range(20):
        attempts += len(query.requests(now))
        now += SOFT_TIMEOUT
    assert attempts == MAX_ATTEMPTS
    waiting = not query.done
    for _ in range(attempts):
        query.failed(contact(1))
    assert (waiting, query.done) == (True, True)
    assert query.answerers() == []


def test_nobody_to_ask_is_an_end() -> None:
    query = Query(bytes(20))
    assert query.requests(0.0) == []
    assert query.done


def test_suspects_are_asked_last() -> None:
    query = Query(bytes(20), suspects=frozenset([contact(1).address, contact(2).address]))
    query.start(contact(n) for n in range(1, 6))
    assert query.requests(0.0) == [contact(3), contact(4), contact(5), contact(1)]


def test_a_suspect_is_asked_once_where_others_answer_and_three_times_where_nobody_does() -> None:
    for answering in (True, False):
        query = Query(bytes(20), suspects=frozenset([contact(1).address]))
        query.start([contact(1), contact(2)])
        asked: list[Contact] = []
        now = 0.0
        while not query.done and now < 20 * SOFT_TIMEOUT:
            for one in query.requests(now):
                asked.append(one)
                if answering and one == contact(2):
                    query.answered(one, one.id, [])
            now += SOFT_TIMEOUT
        assert asked.count(contact(1)) == (1 if answering else MAX_ATTEMPTS)


def test_an_honest_address_under_a_false_id_is_put_right() -> None:
    query = Query(bytes(20))
    false = Contact((1).to_bytes(20, "big"), contact(9).address)
    query.start([false])
    assert query.requests(0.0) == [false]
    query.answered(false, contact(9).id, [])
    assert query.answerers() == [contact(9)]


def test_a_node_that_answers_twice_under_two_ids_counts_once() -> None:
    query = Query(bytes(20))
    true, false = contact(9), Contact((1).to_bytes(20, "big"), contact(9).address)
    query.start([true, false])
    assert query.requests(0.0) == [false, true]
    query.answered(false, true.id, [])
    assert query.answerers() == [true]
    assert query.next_timeout() is None
    query.requests(SOFT_TIMEOUT)
    query.answered(true, true.id, [])
    assert query.answerers() == [true]
    assert query.done


def test_nonsense_is_not_asked_again() -> None:
    query = Query(bytes(20))
    query.start([contact(1)])
    query.requests(0.0)
    query.refuse(contact(1))
    assert query.requests(9.0) == []
    assert query.done


@pytest.mark.parametrize("method", ["failed", "refuse"])
def test_what_concerns_nobody_is_ignored(method: str) -> None:
    query = Query(bytes(20))
    getattr(query, method)(contact(1))
    query.answered(contact(1), contact(1).id, [contact(2)])
    assert query.done


def test_of_one_answer_only_so_many_are_taken() -> None:
    query = Query(bytes(20))
    query.start([contact(1)])
    query.requests(0.0)
    query.answered(contact(1), contact(1).id, [contact(n) for n in range(2, 900)])
    assert len(query._candidates) == 1 + MAX_NODES


def test_candidates_are_bounded() -> None:
    query = Query(bytes(20))
    rng = Random(1)
    for n in range(1, 60):
        query.start([contact(n)])
        query.requests(0.0)
        many = [Contact(rng.randbytes(20), address_of(1000 + n)) for n in range(20)]
        query.answered(contact(n), contact(n).id, many)
        assert len(query._candidates) <= MAX_CANDIDATES
