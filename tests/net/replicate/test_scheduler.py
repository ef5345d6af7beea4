"""Whom to ask for what, without messages or feeds."""

from __future__ import annotations

import random

from net.replicate.link import MAX_REQUESTS, Asked, Link
from net.replicate.scheduler import SILENT_AFTER, URGENT_BLOCKS, Scheduler
from net.replicate.spans import Spans
from net.replicate.wants import Wants


def make(*offers: tuple[int, int]) -> Scheduler:
    scheduler = Scheduler(Wants())
    for offer in offers:
        scheduler.links.append(Link(have=Spans([offer]), base=offer[1]))
    return scheduler


def ask(scheduler: Scheduler, now: float = 0.0) -> list[tuple[Link, Asked]]:
    return [
        (link, asked)
        for link in list(scheduler.links)
        for asked in scheduler.next_requests(link, now)
    ]


def answer(scheduler: Scheduler, link: Link, asked: Asked, now: float) -> None:
    for start, stop in list(asked.spans):
        scheduler.landed(start, stop)
        scheduler.arrived(start, stop)
    scheduler.answered(link, asked, asked.cost, now)
    scheduler.finished(link, asked)


def test_a_download_is_cut_into_chunks_within_the_window() -> None:
    scheduler = make((0, 10_000))
    scheduler.wants.add([(0, 10_000)])
    requests = ask(scheduler)
    assert [list(asked.spans) for _, asked in requests[:2]] == [[(0, 128)], [(128, 256)]]
    assert len(requests) == 4
    (link,) = scheduler.links
    assert link.pace.room <= 0
    assert ask(scheduler) == []


def test_chunks_end_at_whole_subtrees() -> None:
    scheduler = make((0, 10_000))
    scheduler.wants.add([(100, 10_000)])
    assert list(ask(scheduler)[0][1].spans) == [(100, 128)]


def test_who_waits_does_not_wait_for_the_window() -> None:
    scheduler = make((0, 10_000))
    scheduler.wants.add([(0, 10_000)])
    ask(scheduler)
    scheduler.wants.block(9_999)
    ((_, asked),) = ask(scheduler)
    assert asked.urgent
    assert list(asked.spans) == [(9_999, 10_000)]
    assert ask(scheduler) == []


def test_who_waits_for_what_is_in_flight_overtakes_it_only_where_that_saves_time() -> None:
    scheduler = make((0, 10_000))
    scheduler.wants.add([(0, 10_000)])
    requests = ask(scheduler)
    (link,) = scheduler.links
    first, last = requests[0][1].spans.start, requests[-1][1].spans.start
    scheduler.wants.block(first)
    scheduler.wants.block(last)
    assert ask(scheduler) == []  # nothing is known of the peer: it may answer at once
    link.pace.first_answer(0.01, 0.0)
    link.pace.rate = 4e6  # the first 128 KiB are nearly here, the last take a while
    urgent = [asked for _, asked in ask(scheduler) if asked.urgent]
    assert [list(asked.spans) for asked in urgent] == [[(last, last + 1)]]
    assert ask(scheduler) == []


def test_blocked_blocks_are_asked_for_at_the_nearest() -> None:
    scheduler = make((0, 100), (0, 100))
    far, near = scheduler.links
    far.pace.first_answer(1.0, 0.0)
    near.pace.first_answer(0.1, 0.0)
    for index in range(10):
        scheduler.wants.block(index)
    assert {id(link) for link, _ in ask(scheduler)} == {id(near)}


def test_many_blocked_blocks_take_few_requests() -> None:
    scheduler = make((0, 100_000))
    for index in range(0, 2000, 2):
        scheduler.wants.block(index)
    assert len(ask(scheduler)) == -(-1000 // URGENT_BLOCKS)


def test_no_block_is_in_flight_twice() -> None:
    scheduler = make((0, 4000), (0, 4000), (1000, 3000))
    scheduler.wants.add([(0, 4000)])
    seen = Spans()
    for link, asked in ask(scheduler):
        for start, stop in asked.spans:
            assert not list(seen.within(start, stop))
            assert link.have.covers(start, stop)
            seen.add(start, stop)


def test_what_only_one_has_goes_first_there() -> None:
    scheduler = make((0, 5000), (0, 10_000))
    scheduler.wants.add([(0, 10_000)])
    common, whole = scheduler.links
    assert all(asked.spans.start >= 5000 for asked in scheduler.next_requests(whole, 0.0))
    assert all(asked.spans.stop <= 5000 for asked in scheduler.next_requests(common, 0.0))


def test_a_lost_peers_work_is_free_again() -> None:
    scheduler = make((0, 128))
    scheduler.wants.add([(0, 128)])
    ask(scheduler)
    scheduler.lost(scheduler.links[0])
    assert not scheduler.busy
    scheduler.links.append(Link(have=Spans([(0, 128)]), base=128))
    assert len(ask(scheduler)) == 1


def test_a_late_peer_gets_no_more_and_others_get_its_work() -> None:
    scheduler = make((0, 64))
    scheduler.wants.add([(0, 64)])
    slow = scheduler.links[0]
    ((_, asked),) = ask(scheduler)
    scheduler.links.append(Link(have=Spans([(0, 64)]), base=64))
    due = scheduler.deadline()
    assert due is not None
    assert scheduler.expire(due) == []
    assert slow.stalled
    ((link, _),) = ask(scheduler, due)
    assert link is not slow
    scheduler.answered(slow, asked, 10, due + 1)
    assert not slow.stalled


def test_silence_has_an_end() -> None:
    scheduler = make((0, 64))
    scheduler.wants.add([(0, 64)])
    ask(scheduler)
    now = 0.0
    while not (silent := scheduler.expire(now)):
        due = scheduler.deadline()
        assert due is not None
        now = max(due, now + 0.001)
    assert silent == scheduler.links
    assert now >= SILENT_AFTER


def test_requests_in_flight_are_bounded() -> None:
    scheduler = make((0, 1_000_000))
    scheduler.block_size = 1
    scheduler.wants.add((index, index + 1) for index in range(0, 200_000, 2))
    for index in range(1, 100_000, 2):
        scheduler.wants.block(index)
    ask(scheduler)
    assert len(scheduler.links[0].asked) <= MAX_REQUESTS


def test_any_order_of_events_ends_with_everything_here() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        scheduler = make((0, 300), (100, 500), (0, 500))
        want = scheduler.wants.add([(0, 500)])
        for index in rng.sample(range(500), 10):
            scheduler.wants.block(index)
        flying: list[tuple[Link, Asked]] = []
        now = 0.0
        for _ in range(2000):
            now += rng.random()
            flying += ask(scheduler, now)
            if want.finished or not flying:
                break
            link, asked = flying.pop(rng.randrange(len(flying)))
            if asked.id not in link.asked:
                continue
            if rng.random() < 0.2:
                scheduler.expire(now)
            if rng.random() < 0.1 and len(scheduler.links) > 1 and link is not scheduler.links[-1]:
                scheduler.lost(link)
            elif rng.random() < 0.2:
                scheduler.finished(link, asked)  # refused
                scheduler.answered(link, asked, 0, now)
            else:
                answer(scheduler, link, asked, now)
        assert want.finished, seed
        assert not scheduler.wants
