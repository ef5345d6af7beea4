"""A feed among its peers, over channels on carriers in memory."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from feedlog import Feed, KeyPair, Proof, Store
from net.carriers.memory import memory_pair
from net.errors import DeadlineError, PeerError, ProtocolError
from net.replicate import messages
from net.replicate.events import Event, PeerFailed
from net.secure.opening import accept_stream, open_stream
from net.sharing.connection import Connection
from net.sharing.remote import Remote
from net.sharing.swarm import Peer, Swarm

Connect = Callable[[Swarm, Swarm], Awaitable[tuple[Connection, Connection]]]


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


class Left(list[tuple[Peer, str]]):
    """Who has left, and why."""

    def __call__(self, peer: Peer, reason: str) -> None:
        self.append((peer, reason))


@pytest.fixture
async def make_swarm(executor: Executor) -> AsyncIterator[Callable[..., Swarm]]:
    swarms: list[Swarm] = []

    def make(feed: Feed, store: Store, left: Left | None = None) -> Swarm:
        swarms.append(
            Swarm(feed, store, executor, handlers={}, left=Left() if left is None else left)
        )
        return swarms[-1]

    yield make
    for swarm in swarms:
        swarm.close()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[Connection] = []

    async def join(left: Swarm, right: Swarm) -> tuple[Connection, Connection]:
        pairs = KeyPair.generate(), KeyPair.generate()
        carriers = memory_pair()
        streams = await asyncio.gather(
            open_stream(carriers[0], pairs[0], pairs[1].public_key),
            accept_stream(carriers[1], pairs[1]),
        )
        connections = Connection(streams[0]), Connection(streams[1])
        made.extend(connections)
        left.add(connections[0])
        right.add(connections[1])
        return connections

    yield join
    for connection in made:
        connection.close()
        await connection.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something has happened."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it is for tests to look from outside
            await asyncio.sleep(0)


@pytest.fixture
def source() -> tuple[Feed, Store]:
    store = Store.memory()
    feed = store.feed("log")
    feed.extend(bytes([i]) * 10_000 for i in range(100))
    return feed, store


async def test_a_feed_crosses(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    there = Store.memory()
    copy = there.feed(key=source[0].key)
    ours, theirs = make_swarm(*source), make_swarm(copy, there)
    theirs.core.following = True
    theirs.core.wants.add([(0, 100)])
    await connect(ours, theirs)
    await until(lambda: not theirs.core.wants)
    assert list(copy) == list(source[0])


async def test_one_channel_a_connection(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    there = Store.memory()
    ours, theirs = make_swarm(*source), make_swarm(there.feed(key=source[0].key), there)
    one, _ = await connect(ours, theirs)
    assert ours.add(one) is None
    assert ours.keys == {one.remote_key}


async def test_who_breaks_a_rule_is_dropped_with_the_whole_connection(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    there = Store.memory()
    left = Left()
    ours, theirs = make_swarm(*source, left), make_swarm(there.feed(key=source[0].key), there)
    one, _ = await connect(ours, theirs)
    await until(lambda: bool(ours.peers) and bool(theirs.peers))
    (liar,) = theirs.peers.values()
    assert liar.channel is not None
    liar.channel.send(messages.encode(messages.NoData(77)))
    await until(lambda: bool(left))
    assert isinstance(one.error, ProtocolError)
    assert one.is_closing
    assert not ours.peers
    assert "77" in left[0][1]


@pytest.mark.parametrize("silent", [False, True])
async def test_who_owes_an_answer_is_to_blame_only_if_he_says_other_things(
    make_swarm: Callable[..., Swarm],
    connect: Connect,
    source: tuple[Feed, Store],
    silent: bool,
) -> None:
    left = Left()
    ours, theirs = make_swarm(*source, left), make_swarm(*source)
    one, _ = await connect(ours, theirs)
    await until(lambda: bool(ours.peers))
    [session] = ours.peers
    one.mux._liveness._told_at = math.inf if silent else -math.inf
    ours.core._events.append(PeerFailed(session, PeerError("no answer for 30 s", code="silent")))
    ours.settle()
    assert not ours.peers
    assert one.is_closing
    assert isinstance(one.error, DeadlineError if silent else PeerError)
    assert [reason for _, reason in left] == ["no answer for 30 s"]


async def test_who_does_not_answer_is_missed(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    ours, theirs = make_swarm(*source), make_swarm(*source)
    one, _ = await connect(ours, theirs)
    assert ours.talks_over(one)
    assert ours.keys == {one.remote_key}
    one.mux._liveness._told_at = math.inf
    assert ours.misses_somebody
    assert ours.keys == set()


async def test_a_false_proof_reaches_listeners_as_an_event(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    there = Store.memory()
    ours, theirs = make_swarm(*source), make_swarm(there.feed(key=source[0].key), there)
    events: list[Event] = []
    theirs.listeners.append(events.append)
    theirs.core.following = True
    other = Store.memory().feed("other")
    other.extend([b"x"] * 100)
    ours.feed.prove = other.prove  # type: ignore[method-assign]  # the lie
    await connect(ours, theirs)
    await until(lambda: any(isinstance(event, PeerFailed) for event in events))
    assert not theirs.peers
    assert theirs.feed.length == 0


async def test_a_change_of_the_feed_is_noticed_from_any_thread(
    make_swarm: Callable[..., Swarm], source: tuple[Feed, Store]
) -> None:
    swarm = make_swarm(*source)
    await asyncio.to_thread(source[0].append, b"new")
    await until(lambda: swarm.core.standing.length == 101)


STORING = """
import sys
from pathlib import Path
from feedlog import Proof, Store

path, key, proof = sys.argv[1:]
with Store(path) as store:
    store.feed(key=bytes.fromhex(key)).apply(Proof.from_bytes(Path(proof).read_bytes()))
"""


async def store_elsewhere(path: Path, feed: Feed, proof: Proof) -> None:
    """Store what a proof shows in another process, which has the same store open."""
    file = path / "proof"
    file.write_bytes(proof.to_bytes())
    arguments = ["-c", STORING, str(path), feed.key.hex(), str(file)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    assert await process.wait() == 0


async def test_blocks_that_another_process_has_stored_are_had_and_told(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store], tmp_path: Path
) -> None:
    there = Store.memory()
    with Store(tmp_path) as here:
        replica, reader = here.feed(key=source[0].key), there.feed(key=source[0].key)
        replica.apply(source[0].prove())
        ours, theirs = make_swarm(replica, here), make_swarm(reader, there)
        remotes = [Remote(swarm, closed=lambda _remote: None) for swarm in (ours, theirs)]
        theirs.core.following = True
        await connect(ours, theirs)
        await remotes[1].update()
        gets = [asyncio.ensure_future(remote.get(7, timeout=20)) for remote in remotes]
        proof = source[0].prove([7], since=100, length=100, signed=False)
        await store_elsewhere(tmp_path, replica, proof)
        ours.poll()
        assert await asyncio.gather(*gets) == [source[0][7]] * 2
        source[0].append(b"new")
        await store_elsewhere(tmp_path, replica, source[0].prove([100], since=100))
        ours.poll()
        await until(lambda: theirs.core.standing.length == 101)
        ours.poll()
        ours.close()


async def test_who_waits_for_a_block_does_not_wait_for_what_is_being_stored(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    there = Store.memory()
    ours, theirs = make_swarm(*source), make_swarm(there.feed(key=source[0].key), there)
    theirs.core.following = True
    await connect(ours, theirs)
    remote = Remote(theirs, closed=lambda _remote: None)
    await remote.update()
    theirs._intake._applying = True  # a thread is at a large proof
    assert await remote.get(7, timeout=20) == source[0][7]
    theirs._intake._applying = False


async def test_a_feed_may_be_purged_while_it_is_served(
    make_swarm: Callable[..., Swarm], connect: Connect, source: tuple[Feed, Store]
) -> None:
    there = Store.memory()
    ours, theirs = make_swarm(*source), make_swarm(there.feed(key=source[0].key), there)
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    theirs.core.following = True
    await connect(ours, theirs)
    await until(lambda: theirs.feed.length == 100)
    source[0].purge()
    ours.poll()
    theirs.core.wants.add([(0, 100)])
    theirs.changed()
    await until(lambda: not next(iter(theirs.peers)).link.have)
    assert theirs.feed.have == []
    assert not faults
