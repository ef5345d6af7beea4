"""Proofs on their way to the store: at once, in a thread, waiting, refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedlog import Feed, InvalidProof, Proof, Store
from feedlog.errors import FeedlogError, StoreError
from feedlog.proof import Verified
from net.replicate.core import Replication
from net.replicate.session import Arrival
from net.replicate.storing import Outcome
from net.sharing import intake as module
from net.sharing.intake import Intake

BLOCKS = [b"block %d" % i for i in range(40)]


class Owner:
    """What a swarm is to an intake."""

    def __init__(self, feed: Feed, store: Store, executor: ThreadPoolExecutor) -> None:
        self.outcomes: list[Outcome] = []
        self.errors: list[FeedlogError] = []
        self.session = Replication(feed).open(0.0)
        self.intake = Intake(feed, store, executor, report=self._report, lost=self.errors.append)

    def _report(self, _arrivals: list[Arrival], outcomes: list[Outcome]) -> None:
        self.outcomes += outcomes

    def waits(self) -> bool:
        return self.intake.waits

    def busy(self) -> bool:
        return self.intake.busy

    def take(self, *proofs: Proof) -> None:
        sizes = [len(proof.to_bytes()) for proof in proofs]
        pairs = zip(proofs, sizes, strict=True)
        self.intake.take([Arrival(self.session, proof, size, None) for proof, size in pairs])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - it is for tests to look from outside
                await asyncio.sleep(0.001)


@pytest.fixture
def theirs() -> Feed:
    feed = Store.memory().feed("theirs")
    feed.extend(BLOCKS)
    return feed


@pytest.fixture
def copy(theirs: Feed) -> Iterator[tuple[Feed, Store]]:
    with Store.memory() as store:
        yield store.feed(key=theirs.key), store


@pytest.fixture
async def owner(copy: tuple[Feed, Store]) -> Owner:
    return Owner(*copy, ThreadPoolExecutor(1))


def one(theirs: Feed, *blocks: int) -> Proof:
    return theirs.prove(blocks, since=40, length=40, signed=False)


async def test_small_proofs_of_blocks_wait_for_a_transaction(
    owner: Owner, theirs: Feed, copy: tuple[Feed, Store]
) -> None:
    owner.take(theirs.prove())
    assert not owner.waits()
    owner.take(one(theirs, 3), one(theirs, 4))
    assert owner.waits()
    assert all(isinstance(outcome, Verified) for outcome in owner.outcomes)
    assert copy[0][3] == BLOCKS[3]
    owner.intake.flush()
    assert not owner.waits()
    assert not copy[0]._staging.batches
    assert copy[0].have == [range(3, 5)]


async def test_what_we_write_ourselves_is_no_change_to_look_for(
    owner: Owner, theirs: Feed, copy: tuple[Feed, Store]
) -> None:
    owner.take(theirs.prove())
    owner.intake.generation = copy[0].generation
    owner.take(one(theirs, 3))
    owner.intake.flush()
    assert copy[0].have == [range(3, 4)]
    assert owner.intake.generation == copy[0].generation
    owner.take(one(theirs, 4))
    copy[1].feed("another").append(b"somebody else's commit")
    owner.intake.flush()
    assert copy[0].have == [range(3, 5)]
    assert owner.intake.generation == copy[0].generation - 2 - 1


async def test_large_ones_go_to_a_thread(
    owner: Owner, theirs: Feed, copy: tuple[Feed, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.take(theirs.prove())
    monkeypatch.setattr(module, "INLINE_BLOCKS", 10)
    owner.take(one(theirs, *range(40)))
    assert owner.busy()
    await owner.until(lambda: len(owner.outcomes) == 2)
    assert not owner.busy()
    assert list(copy[0]) == BLOCKS


async def test_a_slow_disk_is_written_in_a_thread(
    owner: Owner, theirs: Feed, copy: tuple[Feed, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INLINE_WAIT", -1.0)
    owner.take(theirs.prove())
    assert owner.busy()
    await owner.until(lambda: not owner.busy())
    owner.take(one(theirs, 3))
    assert len(owner.outcomes) == 2  # the reader does not wait for the disk
    owner.intake.flush()
    owner.take(one(theirs, 4))  # nor for what is being written
    assert len(owner.outcomes) == 3
    await owner.until(lambda: not owner.intake._writing)
    owner.intake.flush()
    await owner.until(lambda: not owner.intake._writing)
    assert copy[0].have == [range(3, 5)]


@pytest.mark.parametrize("working", [True, False], ids=["work", "waiting"])
async def test_a_thread_is_for_waiting_and_not_for_work(
    owner: Owner,
    theirs: Feed,
    copy: tuple[Feed, Store],
    working: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = 0.0
    monkeypatch.setattr(module, "monotonic", lambda: passed)
    monkeypatch.setattr(module, "thread_time", lambda: passed if working else 0.0)

    def flush() -> None:
        nonlocal passed
        passed += 1.0

    monkeypatch.setattr(copy[0], "flush", flush)
    owner.take(theirs.prove())
    owner.take(one(theirs, 3))
    owner.intake.flush()  # a second goes by
    owner.take(one(theirs, 4))
    owner.intake.flush()
    assert owner.intake._writing != working
    await owner.until(lambda: not owner.intake._writing)


async def test_a_wait_for_the_disk_is_noticed(
    owner: Owner, theirs: Feed, copy: tuple[Feed, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.take(theirs.prove())
    monkeypatch.setattr(copy[0], "flush", lambda: time.sleep(2 * module.INLINE_WAIT))
    owner.take(one(theirs, 3))
    owner.intake.flush()
    await owner.until(lambda: not owner.intake._writing)
    owner.take(one(theirs, 4))
    owner.intake.flush()
    assert owner.intake._writing
    await owner.until(lambda: not owner.intake._writing)


async def test_much_is_not_left_waiting(
    owner: Owner, theirs: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STAGED_PROOFS", 3)
    owner.take(theirs.prove())
    for index in range(3):
        assert owner.waits() == (index > 0)
        owner.take(one(theirs, index))
    assert not owner.waits()


async def test_a_false_proof_is_reported(owner: Owner, theirs: Feed) -> None:
    other = Store.memory().feed("other")
    other.extend([b"forged"] * 40)
    owner.take(theirs.prove())
    owner.take(one(other, 3), one(theirs, 4))
    assert isinstance(owner.outcomes[1], InvalidProof)
    assert isinstance(owner.outcomes[2], Verified)


@pytest.mark.parametrize("quick", [True, False], ids=["in the loop", "in a thread"])
async def test_what_cannot_be_written_is_lost_and_told(
    owner: Owner,
    theirs: Feed,
    copy: tuple[Feed, Store],
    quick: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.take(theirs.prove())
    owner.take(one(theirs, 3))
    if not quick:
        monkeypatch.setattr(module, "INLINE_WAIT", -1.0)

    def full() -> None:
        raise StoreError("no space left")

    monkeypatch.setattr(copy[0], "flush", full)
    owner.intake.flush()
    await owner.until(lambda: bool(owner.errors))
    assert str(owner.errors[0]) == "no space left"


async def test_closing_writes(owner: Owner, theirs: Feed, copy: tuple[Feed, Store]) -> None:
    owner.take(theirs.prove())
    owner.take(one(theirs, 3))
    owner.intake.close()
    assert not copy[0]._staging.batches
