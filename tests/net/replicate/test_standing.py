"""What is remembered of a feed is what is in it."""

from __future__ import annotations

from feedlog import Store
from net.replicate.spans import Spans
from net.replicate.standing import Standing


def test_changes_are_what_is_held_now_or_is_not_any_more() -> None:
    with Store.memory() as store:
        feed = store.feed("log")
        standing = Standing(feed)
        assert (standing.length, standing.fork, standing.head) == (0, 0, None)
        feed.extend([b"x"] * 10)
        assert standing.refresh() == Spans([(0, 10)])
        feed.clear(2, 4)
        feed.append(b"y")
        assert standing.refresh() == Spans([(2, 4), (10, 11)])
        feed.truncate(5)
        assert standing.refresh() == Spans([(5, 11)])
        assert (standing.length, standing.fork) == (5, 1)
        assert standing.held == Spans([(0, 2), (4, 5)])
        assert not standing.refresh()


def test_it_is_outdated_when_the_store_has_changed() -> None:
    with Store.memory() as store:
        feed = store.feed("log")
        standing = Standing(feed)
        seen = [standing.outdated]
        feed.append(b"x")
        seen.append(standing.outdated)
        standing.refresh()
        seen.append(standing.outdated)
        assert seen == [False, True, False]


def test_a_replica_can_check_against_lengths_whose_roots_it_has() -> None:
    with Store.memory() as store, Store.memory() as elsewhere:
        feed = store.feed("log")
        feed.extend([b"x"] * 12)
        copy = elsewhere.feed(key=feed.key)
        copy.apply(feed.prove())
        standing = Standing(copy)
        assert [length for length in range(14) if standing.provable(length)] == [0, 8, 12]
