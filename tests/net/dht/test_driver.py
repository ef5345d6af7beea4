"""What moves a core on real sockets: one alarm, a queue for each operation, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from feedlog.keys import KeyPair
from net.carriers.udp import UdpSocket
from net.dht.events import Finished
from net.dht.node import DhtNode
from net.errors import ClosedError, DeadlineError

StartNode = Callable[..., Awaitable[DhtNode]]

TOPIC = bytes(range(20))
HERE = ("127.0.0.1", 4000)


async def test_looking_at_once_leaves_one_alarm(start_node: StartNode) -> None:
    node = await start_node()
    before = node._driver._timer
    assert before is not None
    node.look()
    assert before.cancelled()
    assert node._driver._timer is not None
    assert node._driver._timer.when() <= asyncio.get_running_loop().time()
    await node.close()
    assert node._driver._timer.cancelled()
    node.look()
    assert node._driver._timer.cancelled()


async def test_what_nobody_follows_any_more_is_cancelled(start_node: StartNode) -> None:
    first = await start_node()
    second = await start_node([first.address])
    driver, core = second._driver, second._core
    number = core.lookup(TOPIC, driver.now())
    with driver.follow(number) as events:
        assert core._runner.schedule.find(number) is not None
        assert isinstance(await events.next(), Finished)
    number = core.lookup(TOPIC, driver.now())
    with driver.follow(number):
        assert core._runner.schedule.find(number) is not None
    assert core._runner.schedule.find(number) is None
    assert driver._queues == {}


async def test_what_was_spawned_ends_when_it_closes(start_node: StartNode) -> None:
    node = await start_node()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    node._driver.spawn(work())
    await asyncio.sleep(0)
    await node._driver.close()
    await node._driver.close()
    assert ended.is_set()
    assert not node._driver.running


async def test_starting_twice_is_a_mistake(start_node: StartNode) -> None:
    node = await start_node()
    with pytest.raises(RuntimeError, match="started before"):
        await node.start()


async def test_closing_ends_a_running_lookup_with_a_clear_error() -> None:
    udp = await UdpSocket.open("127.0.0.1")
    silent = await UdpSocket.open("127.0.0.1")
    node = DhtNode(KeyPair.generate(), udp, bootstrap=[f"127.0.0.1:{silent.addresses[0][1]}"])
    starting = asyncio.create_task(node.start())
    await asyncio.sleep(0)
    await node.close()
    with pytest.raises(ClosedError):
        await starting
    with pytest.raises(ClosedError):
        await node.announce(TOPIC, [HERE])
    udp.close()
    silent.close()


async def test_an_introduction_that_is_not_answered_is_given_up(start_node: StartNode) -> None:
    asked = asyncio.Event()

    async def never(_message: bytes) -> bytes | None:
        asked.set()
        await asyncio.Event().wait()
        return None

    first = await start_node()
    key_pair = KeyPair.generate()
    taker = await start_node([first.address], key_pair=key_pair, on_introduction=never)
    await taker.announce(TOPIC, [HERE])
    with pytest.raises(DeadlineError, match="silent"):
        await first.introduce(TOPIC, key_pair.public_key, b"hello", timeout=30.0)
    assert asked.is_set()
    await taker.close()
    assert not taker._driver._tasks
