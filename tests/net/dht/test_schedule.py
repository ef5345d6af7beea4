"""Which operations run, and which wait."""

from __future__ import annotations

from net.dht.announcement_operations import Search
from net.dht.joining import Explore, Join
from net.dht.operations import Operation
from net.dht.query import Query
from net.dht.schedule import MAX_OPERATIONS, Schedule

ME = bytes(20)


def search() -> Operation:
    return Search(ME, Query(ME))


def test_so_many_run_in_the_order_in_which_they_came() -> None:
    schedule = Schedule()
    numbers = [schedule.add(search()) for _ in range(MAX_OPERATIONS + 2)]
    started = []
    while (ready := schedule.start(alone=False)) is not None:
        started.append(ready[0])
    assert started == numbers[:MAX_OPERATIONS] == schedule.numbers()
    assert schedule.remove(numbers[-2]) is not None
    assert schedule.remove(numbers[0]) is not None
    assert schedule.remove(numbers[0]) is None
    ready = schedule.start(alone=False)
    assert ready is not None
    assert ready[0] == numbers[-1]
    assert schedule.get(numbers[0]) is None
    assert schedule.get(numbers[-1]) is ready[1]
    assert len(schedule) == len(list(schedule)) == MAX_OPERATIONS


def test_one_that_rests_takes_no_place() -> None:
    schedule = Schedule()
    numbers = [schedule.add(search()) for _ in range(MAX_OPERATIONS + 2)]
    while schedule.start(alone=False) is not None:
        pass
    running, waiting = schedule.find(numbers[0]), schedule.find(numbers[-2])
    assert running is not None
    assert waiting is not None
    assert schedule.get(numbers[-2]) is None
    running.resting = True
    assert schedule.start(alone=False) == (numbers[-2], waiting)
    assert schedule.start(alone=False) is None
    assert schedule.find(numbers[-1] + 1) is None


def test_while_alone_the_others_wait_for_who_joins() -> None:
    schedule = Schedule()
    schedule.add(search())
    join = schedule.add(Join(ME, Query(ME), []))
    ready = schedule.start(alone=True)
    assert ready is not None
    assert ready[0] == join
    assert schedule.start(alone=True) is None
    assert schedule.has(Join)
    assert not schedule.has(Explore)
    assert schedule.start(alone=False) is not None


def test_alone_for_good_nobody_is_waited_for() -> None:
    schedule = Schedule()
    schedule.add(search())
    assert schedule.start(alone=True) is not None
