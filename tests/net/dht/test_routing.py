"""The routing table against the obvious: a sorted list."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from net.dht.contacts import Contact
from net.dht.routing import (
    BUCKET_SIZE,
    MAX_DEPTH,
    MAX_FAILURES,
    MAX_REPLACEMENTS,
    PER_AREA,
    THIN,
    Table,
)
from tests.reference.dht_network import address_of

OWN = bytes(20)
LAST = 2**160 - 1


def contact(number: int, place: int | None = None) -> Contact:
    return Contact(
        number.to_bytes(20, "big"), address_of(number % 65536 if place is None else place)
    )


def filled(seed: int, count: int) -> tuple[Table, list[Contact]]:
    rng = Random(seed)
    table = Table(rng.randbytes(20))
    contacts = [Contact(rng.randbytes(20), address_of(n)) for n in range(count)]
    return table, [c for c in contacts if table.add(c, 0.0)]


@given(st.integers(0, 2**32), st.integers(0, 300))
@settings(max_examples=30)
def test_near_are_the_truly_closest(seed: int, count: int) -> None:
    table, _ = filled(seed, count)
    everyone = [entry.contact for entry in table]
    rng = Random(seed)
    for _ in range(20):
        target = rng.randbytes(20)
        point = int.from_bytes(target, "big")
        expected = sorted(everyone, key=lambda c: int.from_bytes(c.id, "big") ^ point)
        assert table.near(target, 8) == expected[:8]


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "fail", "seen", "forget"]), st.integers(0, 400)),
        max_size=400,
    ),
    st.sampled_from([0, 2**159 - 1, 2**159, LAST]),
)
@settings(max_examples=60)
def test_every_contact_is_in_the_bucket_of_its_range(
    steps: list[tuple[str, int]], own: int
) -> None:
    # Ids close to our own and on the boundaries of the halves, where buckets split.
    table = Table(own.to_bytes(20, "big"))
    for what, number in steps:
        node = contact((own ^ number) if number < 200 else (2**159 + number - 300))
        if what == "add":
            table.add(node, 1.0)
        elif what == "fail":
            table.failed(node)
        elif what == "seen":
            table.seen(node, 2.0)
        else:
            table.forget(node)
            assert node.id not in table
        low = 0
        for bucket in table.buckets:
            assert bucket.range[0] == low
            low = bucket.range[1] + 1
            assert len(bucket.nodes) <= BUCKET_SIZE
            assert len(bucket.replacement_nodes) <= MAX_REPLACEMENTS
            for entry in (*bucket.nodes.values(), *bucket.replacement_nodes.values()):
                assert bucket.range[0] <= entry.long_id <= bucket.range[1]
                assert table.get(entry.id) is entry
    assert own.to_bytes(20, "big") not in table


def test_a_contact_that_fails_twice_goes_and_a_replacement_comes() -> None:
    table = Table(OWN)
    far = [contact(2**159 + n) for n in range(BUCKET_SIZE + 2)]
    added = [table.add(c, float(n)) for n, c in enumerate(far)]
    assert all(added)
    assert len(table) == BUCKET_SIZE
    for _ in range(MAX_FAILURES):
        table.failed(far[3])
    assert far[3].id not in table
    assert len(table) == BUCKET_SIZE
    table.failed(far[4])
    table.seen(far[4], 99.0)
    table.failed(far[4])
    assert far[4].id in table


def test_a_failing_contact_makes_room_for_a_newcomer() -> None:
    table = Table(OWN)
    far = [contact(2**159 + n) for n in range(BUCKET_SIZE + MAX_REPLACEMENTS)]
    for c in far:
        table.add(c, 0.0)
    newcomer = contact(2**159 + 1000)
    assert not table.wants(newcomer)
    assert not table.add(newcomer, 1.0)
    table.failed(far[0])
    assert table.wants(newcomer)
    assert table.add(newcomer, 1.0)
    assert far[0].id not in table
    assert newcomer in [entry.contact for entry in table]


def test_one_area_has_few_places_whatever_its_ids() -> None:
    table = Table(OWN)
    rng = Random(1)
    taken = [
        table.add(Contact(rng.randbytes(20), ("66.66.66.66", 1000 + n)), 0.0) for n in range(500)
    ]
    assert sum(taken) == len(table) == PER_AREA
    assert table.add(contact(5, place=7), 0.0)


def test_a_node_that_proves_its_id_from_a_new_address_has_moved() -> None:
    table = Table(OWN)
    table.add(contact(5, place=1), 0.0)
    table.failed(contact(5, place=2))  # not the one that we know
    assert table.add(contact(5, place=2), 1.0)
    assert table.near(OWN) == [contact(5, place=2)]


def test_the_parts_where_few_are_known_down_to_the_nearest() -> None:
    table = Table(OWN)
    assert table.thin_parts() == [0]
    for number in (*range(2**159, 2**159 + THIN), 2**158, 2**156):
        table.add(contact(number), 0.0)
    assert table.thin_parts() == [1, 2, 3]
    table.add(contact(1), 0.0)  # shares 159 bits with us
    assert table.thin_parts() == list(range(1, MAX_DEPTH + 1))


def test_the_stalest_is_the_one_longest_silent() -> None:
    table = Table(OWN)
    assert table.stalest() == []
    for n in range(1, 5):
        table.add(contact(n), float(n))
    table.seen(contact(1), 9.0)
    assert [entry.contact for entry in table.stalest(3)] == [contact(2), contact(3), contact(4)]
    table.failed(contact(2))
    assert contact(2) in table.near(OWN)
    assert contact(2) not in table.near(OWN, sure=True)


def test_the_own_id_is_never_wanted() -> None:
    table = Table(OWN)
    assert not table.add(Contact(OWN, address_of(1)), 0.0)
