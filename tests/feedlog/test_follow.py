"""Following a feed as it grows, with a `wait` that makes it grow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from feedlog import BlockMissing, Feed, Store
from feedlog.view import READ_AHEAD


def script(*steps: Callable[[], object]) -> Callable[[], bool]:
    """Run one step at each wait, and end the iteration when there is none left."""
    left: Iterator[Callable[[], object]] = iter(steps)

    def wait() -> bool:
        step = next(left, None)
        if step is not None:
            step()
        return step is None

    return wait


def test_old_and_new_blocks(feed: Feed) -> None:
    feed.extend([b"a", b"b"])
    wait = script(
        lambda: feed.append(b"c"),
        lambda: None,
        lambda: feed.extend([b"d", b"e"]),
    )
    assert list(feed.follow(wait=wait)) == [b"a", b"b", b"c", b"d", b"e"]


def test_from_a_start(feed: Feed) -> None:
    feed.extend([b"a", b"b", b"c"])
    assert list(feed.follow(2, wait=script(lambda: feed.append(b"d")))) == [b"c", b"d"]
    assert list(feed.follow(6, wait=script(lambda: feed.extend([b"x"] * 4)))) == [b"x", b"x"]
    with pytest.raises(ValueError, match="not from -1"):
        feed.follow(-1, wait=script())


def test_more_than_is_read_at_once(feed: Feed) -> None:
    blocks = [b"%d" % i for i in range(3 * READ_AHEAD + 1)]
    feed.extend(blocks)
    assert list(feed.follow(wait=script())) == blocks


def test_a_replica_from_before_its_first_head(feed: Feed, elsewhere: Store) -> None:
    feed.extend([b"a", b"b"])
    feed.truncate(1)
    copy = elsewhere.feed(key=feed.key)
    wait = script(lambda: None, lambda: copy.apply(feed.prove([0])))
    assert list(copy.follow(wait=wait)) == [b"a"]


def test_a_missing_block_comes_after_those_before_it(feed: Feed, elsewhere: Store) -> None:
    feed.extend([b"a", b"b", b"c"])
    copy = elsewhere.feed(key=feed.key)
    copy.apply(feed.prove([0, 2]))
    followed = copy.follow(wait=script())
    assert next(followed) == b"a"
    with pytest.raises(BlockMissing) as missing:
        next(followed)
    copy.apply(feed.prove([1]))
    assert list(copy.follow(missing.value.index, wait=script())) == [b"b", b"c"]


@pytest.mark.parametrize("length", [0, 1, 2])
def test_a_truncated_feed_ends_it(feed: Feed, length: int) -> None:
    feed.extend([b"a", b"b"])
    assert list(feed.follow(wait=script(lambda: feed.truncate(length), lambda: None))) == [
        b"a",
        b"b",
    ]


def test_an_event_stops_it(feed: Feed) -> None:
    feed.append(b"a")
    stop = threading.Event()
    followed = feed.follow(wait=partial(stop.wait, 0.01))
    assert next(followed) == b"a"
    stop.set()
    assert list(followed) == []


def test_another_thread_writes(feed: Feed) -> None:
    stop = threading.Event()
    seen: list[bytes] = []
    changed = threading.Semaphore(0)

    def follow() -> None:
        def wait() -> bool:
            changed.acquire()
            return stop.is_set()

        seen.extend(feed.follow(wait=wait))

    thread = threading.Thread(target=follow)
    thread.start()
    feed.observe(changed.release)
    for i in range(50):
        feed.append(b"%d" % i)
    stop.set()
    changed.release()
    thread.join()
    rest = list(feed.follow(len(seen), wait=script()))
    assert seen + rest == [b"%d" % i for i in range(50)]
