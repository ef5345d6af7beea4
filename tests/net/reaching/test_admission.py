"""The door of a node: places, the line, shares and bans."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.addresses import Address
from net.reaching.admission import (
    BAN,
    GRACE,
    MAX_BANNED,
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_SHARE,
    MAX_INSIDE,
    MAX_INSIDE_SHARE,
    MAX_LINE,
    MAX_LINE_SHARE,
    PATIENCE,
    SPARE_FILES,
    Admission,
    Admitted,
    Displaced,
    Guest,
    Stage,
    owner_of,
)

HERE: Address = ("127.0.0.1", 1)


def public(number: int) -> Address:
    """An address in a subnet of its own."""
    return f"8.{number // 200}.{number % 200}.7", 4000


def arrive(door: Admission, address: Address | None, now: float = 0.0) -> Guest:
    guest = door.arrive(address, now)
    assert guest is not None
    return guest


def events(door: Admission) -> list[Admitted | Displaced]:
    found = []
    while (event := door.next_event()) is not None:
        found.append(event)
    return found


@pytest.fixture
def door() -> Admission:
    return Admission()


class TestPlaces:
    def test_the_first_to_come_is_admitted_at_once(self, door: Admission) -> None:
        guest = arrive(door, HERE)
        assert events(door) == [Admitted(guest)]
        door.established(guest, 0.1)
        assert (door.count(Stage.SHAKING), door.count(Stage.INSIDE)) == (0, 1)
        door.left(guest, 0.2)
        door.left(guest, 0.2)
        assert not any(door.count(stage) for stage in Stage)

    def test_a_crowd_has_its_turn_one_after_another_the_last_first(self, door: Admission) -> None:
        guests = [arrive(door, HERE) for _ in range(1000)]
        assert door.count(Stage.SHAKING) == MAX_HANDSHAKES_SHARE
        order = []
        while found := events(door):
            for event in found:
                assert isinstance(event, Admitted)
                order.append(event.guest)
                door.established(event.guest, 0.1)
        assert order == guests[:MAX_HANDSHAKES_SHARE] + guests[: MAX_HANDSHAKES_SHARE - 1 : -1]
        assert door.count(Stage.INSIDE) == 1000

    def test_one_owner_has_a_share_and_others_the_rest(self, door: Admission) -> None:
        for _ in range(MAX_HANDSHAKES_SHARE + 5):
            arrive(door, ("8.8.8.8", 1))
        assert len(events(door)) == MAX_HANDSHAKES_SHARE
        other = arrive(door, ("9.9.9.9", 1))
        assert events(door) == [Admitted(other)]

    def test_one_subnet_is_one_owner_and_no_address_is_another(self) -> None:
        assert owner_of(("8.8.8.8", 1)) == owner_of(("8.8.8.9", 2))
        assert owner_of(("10.0.0.1", 1)) != owner_of(("10.0.0.2", 1))
        assert owner_of(("127.0.0.1", 1)) != owner_of(("127.0.0.2", 1))
        assert owner_of(("2600::1", 1)) == owner_of(("2600::2:0:0:1", 1))
        assert owner_of(None) == b""

    def test_who_waits_may_leave(self, door: Admission) -> None:
        first = [arrive(door, HERE) for _ in range(MAX_HANDSHAKES_SHARE)]
        impatient, patient = arrive(door, HERE), arrive(door, HERE)
        events(door)
        door.left(impatient, 0.0)
        door.left(first[0], 0.0)
        assert events(door) == [Admitted(patient)]

    def test_one_of_each_owner_in_turn(self, door: Admission) -> None:
        shaking = [arrive(door, public(n)) for n in range(MAX_HANDSHAKES)]
        crowd = [arrive(door, ("8.8.8.8", 1)) for _ in range(5)]
        single = arrive(door, ("9.9.9.9", 1))
        events(door)
        for guest in shaking[:3]:
            door.left(guest, 0.0)
        assert events(door) == [Admitted(crowd[4]), Admitted(single), Admitted(crowd[3])]


class TestSlowness:
    def test_the_silent_are_displaced_by_who_comes_later_but_not_at_once(
        self, door: Admission
    ) -> None:
        silent = [arrive(door, HERE) for _ in range(MAX_HANDSHAKES_SHARE)]
        events(door)
        late = arrive(door, HERE, 0.1)
        assert events(door) == []
        assert door.next_timeout() == GRACE
        door.handle_timeout(GRACE)
        assert events(door) == [Displaced(silent[0]), Admitted(late)]
        assert silent[0].stage is Stage.GONE
        door.left(silent[0], GRACE)
        assert door.count(Stage.SHAKING) == MAX_HANDSHAKES_SHARE

    def test_who_waits_for_long_is_turned_away(self, door: Admission) -> None:
        shaking = [arrive(door, HERE) for _ in range(MAX_HANDSHAKES_SHARE)]
        for guest in shaking:
            guest.since = PATIENCE  # as if all were new
        late = [arrive(door, HERE, 1.0 + n) for n in range(3)]
        events(door)
        assert door.next_timeout() == 1.0 + PATIENCE
        door.handle_timeout(2.0 + PATIENCE)
        gone = [event.guest for event in events(door) if event.guest in late[:2]]
        assert gone == late[:2]
        assert {guest.stage for guest in gone} == {Stage.GONE}
        assert late[2].stage is not Stage.GONE

    def test_nobody_is_displaced_where_nobody_waits(self, door: Admission) -> None:
        for _ in range(MAX_HANDSHAKES_SHARE):
            arrive(door, HERE)
        assert door.next_timeout() is None
        door.handle_timeout(100.0)
        assert len(events(door)) == MAX_HANDSHAKES_SHARE

    def test_where_all_places_are_taken_who_has_most_loses_one(self, door: Admission) -> None:
        many = MAX_HANDSHAKES // MAX_HANDSHAKES_SHARE - 1
        single = arrive(door, public(999))
        for number in range(many):
            for _ in range(MAX_HANDSHAKES_SHARE):
                arrive(door, public(number))
        for number in range(MAX_HANDSHAKES - 1 - many * MAX_HANDSHAKES_SHARE):
            arrive(door, public(500 + number))
        events(door)
        late = arrive(door, ("9.9.9.9", 1), 10.0)
        displaced, admitted = events(door)
        assert admitted == Admitted(late)
        assert displaced.guest is not single
        assert displaced.guest.owner in {owner_of(public(n)) for n in range(many)}


class TestLimits:
    def test_the_line_and_a_share_of_it(self, door: Admission) -> None:
        for _ in range(MAX_HANDSHAKES_SHARE + MAX_LINE_SHARE):
            arrive(door, HERE)
        assert door.arrive(HERE, 0.0) is None
        for number in range(2, 8):
            while door.arrive((f"127.0.0.{number}", 1), 0.0) is not None:
                pass
        assert door.count(Stage.WAITING) == MAX_LINE
        assert door.count(Stage.SHAKING) == MAX_HANDSHAKES
        assert door.counters["line"] == 7

    def test_a_full_line_is_no_matter_to_who_needs_not_wait(self, door: Admission) -> None:
        for number in range(1, 4):
            while door.arrive((f"127.0.0.{number}", 1), 0.0) is not None:
                pass
        assert door.count(Stage.WAITING) == MAX_LINE
        events(door)
        other = arrive(door, ("9.9.9.9", 1))
        assert events(door) == [Admitted(other)]

    def test_the_established_and_a_share_of_them(self, door: Admission) -> None:
        for number, size in ((1, MAX_INSIDE_SHARE), (2, MAX_INSIDE - MAX_INSIDE_SHARE)):
            for _ in range(size):
                door.established(arrive(door, (f"127.0.0.{number}", 1)), 0.0)
            assert door.arrive((f"127.0.0.{number}", 1), 0.0) is None
        assert door.count(Stage.INSIDE) == MAX_INSIDE
        assert door.counters["connections"] == 2

    def test_who_waits_is_turned_away_when_there_is_room_no_more(self) -> None:
        door = Admission(inside=MAX_HANDSHAKES_SHARE + 1)
        inside = [arrive(door, HERE) for _ in range(MAX_HANDSHAKES_SHARE)]
        events(door)
        late = [arrive(door, HERE) for _ in range(3)]
        door.established(inside[0], 0.0)
        assert events(door) == [Admitted(late[2]), Displaced(late[1]), Displaced(late[0])]

    def test_every_guest_takes_a_file_and_some_are_left_for_others(self) -> None:
        door = Admission(files=SPARE_FILES + 40)
        for host, expected in (("127.0.0.1", 30), ("127.0.0.2", 10), ("127.0.0.3", 0)):
            came = 0
            while (guest := door.arrive((host, 1), 0.0)) is not None:
                door.established(guest, 0.0)
                came += 1
            assert came == expected
        assert door.counters["files"] == 3

    def test_a_node_with_little_room_has_fewer_connections(self) -> None:
        door = Admission(inside=3)
        guests = [arrive(door, HERE) for _ in range(3)]
        assert door.arrive(HERE, 0.0) is None
        for guest in guests:
            door.established(guest, 0.0)
        assert door.arrive(("9.9.9.9", 1), 0.0) is None
        door.left(guests[0], 0.0)
        arrive(door, HERE)


class TestBans:
    def test_a_ban_expires(self, door: Admission) -> None:
        door.ban(b"key", 100.0)
        assert door.is_banned(b"key", 100.0)
        assert not door.is_banned(b"key", 100.0 + BAN)
        assert not door.is_banned(b"other", 100.0)

    def test_the_oldest_of_too_many_is_forgotten(self, door: Admission) -> None:
        for number in range(MAX_BANNED + 1):
            door.ban(number.to_bytes(4, "big"), 0.0)
        assert not door.is_banned(bytes(4), 1.0)
        assert door.is_banned((1).to_bytes(4, "big"), 1.0)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(["arrive", "establish", "leave", "wait"]), st.integers(0, 9)),
        max_size=300,
    )
)
def test_no_limit_is_exceeded_whatever_happens(steps: list[tuple[str, int]]) -> None:
    door = Admission(inside=40)
    guests: list[Guest] = []
    now = 0.0
    for what, number in steps:
        if what == "arrive":
            for _ in range(number * 5):
                guest = door.arrive((f"127.0.0.{number + 1}", 1), now)
                guests += [] if guest is None else [guest]
        elif what == "wait":
            now += number / 4
            due = door.next_timeout()
            door.handle_timeout(now if due is None else max(now, due))
        elif guests:
            guest = guests[number * 7 % len(guests)]
            (door.established if what == "establish" else door.left)(guest, now)
        told = [event.guest for event in events(door)]
        assert len(told) == len(set(told)), "nobody is admitted and displaced in one turn"
        counted = {stage: sum(g.stage is stage for g in guests) for stage in Stage}
        for stage in (Stage.WAITING, Stage.SHAKING, Stage.INSIDE):
            assert door.count(stage) == counted[stage]
        assert counted[Stage.SHAKING] <= MAX_HANDSHAKES
        assert counted[Stage.INSIDE] + counted[Stage.SHAKING] <= 40
