"""Two objects of one feed on one storage write in turn, as two processes do.

Each keeps what it saw last: the end of the feed, its head, tree nodes. Whatever the other did
meanwhile, and whatever was undone, both must go on as a plain list does.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from feedlog import Feed, KeyPair, Store, check_proof
from feedlog.log import Log
from feedlog.staged import Staging

PAIR = KeyPair.from_seed(bytes(32))


def another(feed: Feed) -> Feed:
    """Return an object of the same feed that shares nothing but the storage."""
    log = Log(feed._log.number, dense=feed._log.have.dense)
    return Feed(
        feed._storage,
        log,
        feed.key,
        manifest=feed.manifest,
        signers=(PAIR,),
        cipher=None,
        staging=Staging(log, feed.key),
        read_only=False,
    )


class Undone(Exception):
    """Ends a transaction that is to leave nothing."""


def change(feed: Feed, blocks: list[bytes], held: set[int], rng: random.Random) -> None:
    """Do something to the feed and to its model."""
    match rng.randrange(5):
        case 0:
            length = rng.randrange(len(blocks) + 1)
            feed.truncate(length)
            del blocks[length:]
            held &= set(range(length))
        case 1:
            start, stop = sorted(rng.choices(range(len(blocks) + 1), k=2))
            feed.clear(start, stop)
            held -= set(range(start, stop))
        case few:
            new = [rng.randbytes(rng.choice((0, 5, 1100))) for _ in range((few - 1) ** 3)]
            feed.extend(new)
            held |= set(range(len(blocks), len(blocks) + len(new)))
            blocks += new


def together(
    store: Store, feeds: tuple[Feed, ...], blocks: list[bytes], held: set[int], rng: random.Random
) -> bool:
    """Do several things in one transaction, or none; return whether they were done."""
    try:
        with store.transaction():
            for _ in range(3):
                change(rng.choice(feeds), blocks, held, rng)
            undo(rng)
    except Undone:
        return False
    return True


def undo(rng: random.Random) -> None:
    """Give up now and then."""
    if rng.random() < 0.5:
        raise Undone


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "disk"])
@pytest.mark.parametrize("seed", range(6))
def test_they_see_what_the_other_did(tmp_path: Path, on_disk: bool, seed: int) -> None:
    rng = random.Random(seed)
    blocks: list[bytes] = []
    held: set[int] = set()
    with Store(tmp_path, durability="relaxed") if on_disk else Store.memory() as store:
        one = store.feed(key_pair=PAIR)
        feeds = one, another(one)
        for _ in range(60):
            feed = rng.choice(feeds)
            times = rng.choice((1, 1, 3))
            if rng.random() < 0.3:
                model = list(blocks), set(held)
                if together(store, feeds, *model, rng):
                    blocks, held = model
            else:
                for _ in range(times):
                    change(feed, blocks, held, rng)
            for reader in feeds:
                assert reader.length == len(blocks)
                assert [i for part in reader.have for i in part] == sorted(held)
                some = rng.sample(sorted(held), min(5, len(held)))
                assert [reader[i] for i in some] == [blocks[i] for i in some]
                if reader.head is not None:
                    proof = reader.prove(some)
                    assert check_proof(reader.key, proof).length == len(blocks)
        for reader in feeds:
            assert reader.audit().fault is None
