from __future__ import annotations

import asyncio

import pytest

from net.errors import ClosedError, DeadlineError, NetError, ProtocolError, RefusedError
from net.relay import link as link_module
from net.relay.link import MAX_ITEMS, RelayLink
from net.relay.messages import (
    Code,
    Done,
    Item,
    Limits,
    Message,
    MessageReader,
    Ping,
    Pong,
    Refused,
    Request,
    Reserve,
    Reserved,
    encode_message,
)
from net.secure.stream import SecureStream
from tests.reference.relays import RELAY, streams_between
from tests.reference.wire import ALICE


class FakeRelay:
    """The relay's end of a stream, which says what a test tells it to."""

    def __init__(self, stream: SecureStream) -> None:
        self.stream = stream
        self._reader = MessageReader()
        self._read: list[Message] = []

    def say(self, *messages: Message) -> None:
        self.stream.write(b"".join(map(encode_message, messages)))

    async def hear(self) -> Message:
        while not self._read:
            self._read += self._reader.receive(await self.stream.read(1000))
        return self._read.pop(0)


@pytest.fixture
async def relay_and_link() -> tuple[FakeRelay, RelayLink]:
    ours, theirs = await streams_between(ALICE, RELAY)
    return FakeRelay(theirs), RelayLink(ours)


Pair = tuple[FakeRelay, RelayLink]


async def test_reserving(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    reserving = asyncio.ensure_future(link.reserve())
    assert await relay.hear() == Reserve()
    relay.say(Reserved(Limits(1, 2, 3, 4)))
    assert await reserving == Limits(1, 2, 3, 4)
    relay.say(Refused(Code.RESERVATIONS, "no more"))
    await link.wait_closed()
    assert isinstance(link.error, RefusedError)
    with pytest.raises(RefusedError, match="no more"):
        await link.ping()


async def test_pings_go_both_ways_and_measure(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    pinging = asyncio.ensure_future(link.ping())
    asked = await relay.hear()
    assert isinstance(asked, Ping)
    relay.say(Pong(asked.number + 1), Pong(asked.number), Ping(7))
    assert await pinging == link.round_trip
    assert await relay.hear() == Pong(7)
    link.close()


async def test_items_come_as_they_are_found(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    items = link.request(2, b"topic")
    first = asyncio.ensure_future(anext(items))
    asked = await relay.hear()
    assert isinstance(asked, Request)
    assert (asked.kind, asked.data) == (2, b"topic")
    relay.say(Item(asked.number, b"one"))
    assert await first == b"one"
    relay.say(Item(asked.number + 1, b"of another"), Item(asked.number, b"two"), Done(asked.number))
    assert [item async for item in items] == [b"two"]
    link.close()


async def test_a_refused_request_says_why(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    telling = asyncio.ensure_future(link.told(0, b"record"))
    asked = await relay.hear()
    assert isinstance(asked, Request)
    relay.say(Done(asked.number, 0, Code.BAD_REQUEST, "the signature does not match"))
    with pytest.raises(RefusedError, match="the signature does not match"):
        await telling
    telling = asyncio.ensure_future(link.told(0, b"record"))
    asked = await relay.hear()
    assert isinstance(asked, Request)
    relay.say(Done(asked.number, 5))
    assert await telling == 5
    telling = asyncio.ensure_future(link.told(0, b"record"))
    asked = await relay.hear()
    assert isinstance(asked, Request)
    relay.say(Item(asked.number, b"?"))
    with pytest.raises(ProtocolError):
        await telling
    link.close()


async def test_a_flood_of_answers_is_not_kept(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    items = link.request(2, b"topic")
    first = asyncio.ensure_future(anext(items))
    asked = await relay.hear()
    assert isinstance(asked, Request)
    relay.say(*[Item(asked.number, b"x") for _ in range(10 * MAX_ITEMS)], Done(asked.number))
    await first
    for _ in range(20):
        await asyncio.sleep(0)
    (queue,) = link._requests.values()
    assert queue.qsize() <= MAX_ITEMS
    assert len([item async for item in items]) <= MAX_ITEMS
    link.close()


async def test_the_end_of_the_link_ends_what_waits(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    waiting = [asyncio.ensure_future(link.ping()), asyncio.ensure_future(link.reserve())]
    await relay.hear()
    relay.stream.close()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, NetError)
    await link.wait_closed()
    assert link.error is not None


async def test_closing_it(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    link.close()
    await link.wait_closed()
    assert isinstance(link.error, ClosedError)
    assert await relay.stream.read() == b""


async def test_a_relay_that_goes_silent_is_given_up(
    relay_and_link: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, link = relay_and_link
    monkeypatch.setattr(link_module, "ANSWER", 0.0)
    with pytest.raises(DeadlineError, match="has not answered a ping in 0 s"):
        await link.ping()
    link._heard -= link_module.SILENCE + 1
    link._keep_alive()
    await link.wait_closed()
    assert isinstance(link.error, DeadlineError)


async def test_it_pings_by_itself(relay_and_link: Pair) -> None:
    relay, link = relay_and_link
    assert link_module.KEEP_ALIVE < 25
    link._keep_alive()
    assert isinstance(await relay.hear(), Ping)
    link.close()
