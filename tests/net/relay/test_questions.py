from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import pytest

from feedlog.keys import KeyPair
from net.dht.records import Announcement, sign_announcement
from net.errors import RefusedError
from net.relay import questions as questions_module
from net.relay.messages import Code, Done, Item, Request
from net.relay.questions import BURST, MAX_CLIENTS, MAX_RECORDS, Kind, RelayQuestions
from tests.reference.wire import ALICE, BOB

TOPIC = bytes(range(20))


def record(key_pair: KeyPair = ALICE, life: int = 3000, port: int = 4000) -> Announcement:
    expiry = int(time.time()) + life
    return sign_announcement(key_pair, TOPIC, [("192.0.2.1", port)], seq=1, expiry=expiry)


class Held:
    """A DHT that holds what it is given."""

    def __init__(self) -> None:
        self.held: list[Announcement] = []

    async def publish(self, record: Announcement) -> int:
        if len(self.held) > 1000:
            raise RefusedError("no DHT node holds the announcement: 8 x busy")
        self.held.append(record)
        return 8

    async def records(self, topic: bytes) -> AsyncGenerator[Announcement]:
        for each in self.held:
            if each.topic == topic:
                yield each


async def ask(questions: RelayQuestions, kind: int, data: bytes) -> list[Item | Done]:
    return [answer async for answer in questions.ask(ALICE.public_key, Request(7, kind, data))]


async def test_what_is_announced_is_found() -> None:
    questions, made = RelayQuestions(Held()), record()
    assert await ask(questions, Kind.ANNOUNCE, made.raw) == [Done(7, 8)]
    assert await ask(questions, Kind.LOOKUP, TOPIC) == [Item(7, made.raw), Done(7, 1)]
    assert await ask(questions, Kind.LOOKUP, bytes(20)) == [Done(7, 0)]


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (Kind.ANNOUNCE, b"", "its size lies outside"),
        (Kind.ANNOUNCE, record().raw[:-1] + b"\xff", "the signature does not match"),
        (Kind.ANNOUNCE, record(BOB).raw, "signed by another key than the client's"),
        (Kind.ANNOUNCE, record(life=-5).raw, "expires in -"),
        (Kind.ANNOUNCE, record(life=9000).raw, "not within 3600 s"),
        (Kind.LOOKUP, bytes(19), "a topic has 20 bytes, not 19"),
        (9, b"", "request of kind 9 is not known here"),
    ],
)
async def test_what_is_refused_and_why(kind: int, data: bytes, reason: str) -> None:
    held = Held()
    (done,) = await ask(RelayQuestions(held), kind, data)
    assert isinstance(done, Done)
    assert done.code == Code.BAD_REQUEST
    assert reason in done.reason
    assert not held.held


async def test_an_answer_has_its_limit_and_a_failure_its_reason() -> None:
    held = Held()
    held.held = [record(port=number) for number in range(1, 1003)]
    questions = RelayQuestions(held)
    answers = await ask(questions, Kind.LOOKUP, TOPIC)
    assert len(answers) == MAX_RECORDS + 1
    (done,) = await ask(questions, Kind.ANNOUNCE, record().raw)
    assert done == Done(7, 0, Code.FAILED, "no DHT node holds the announcement: 8 x busy")


async def test_a_client_asks_so_often_and_another_is_not_hindered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(questions_module, "RATE", 1e-9)
    questions = RelayQuestions(Held())
    for _ in range(int(BURST)):
        assert (await ask(questions, Kind.LOOKUP, TOPIC))[-1] == Done(7, 0)
    (done,) = await ask(questions, Kind.LOOKUP, TOPIC)
    assert isinstance(done, Done)
    assert done.code == Code.REQUESTS
    assert [a async for a in questions.ask(BOB.public_key, Request(1, 1, TOPIC))] == [Done(1, 0)]
    for number in range(MAX_CLIENTS):
        key = number.to_bytes(32, "big")
        assert [a async for a in questions.ask(key, Request(1, 1, TOPIC))]
    assert len(questions._left) == MAX_CLIENTS
