"""What a peer gets for its requests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import Feed, Proof, Store, flat_tree
from feedlog.errors import DecodeError
from net.errors import ProtocolError
from net.replicate import messages
from net.replicate.messages import Data, NoData, Request
from net.replicate.serving import RECORD_SIZE, Serving
from net.replicate.standing import Standing

Serve = Callable[..., Serving]


@pytest.fixture
def feed(stores: Callable[[], Store]) -> Feed:
    feed = stores().feed("log")
    feed.extend(b"block %d" % i for i in range(100))
    return feed


@pytest.fixture
def serving(feed: Feed) -> Serving:
    def named(_feed: Feed, payload: bytes) -> list[int]:
        if payload == b"bad":
            raise DecodeError("hint", 0, "bad")
        return list(payload)

    return Serving(Standing(feed), {"named": named})


def answers(serving: Serving) -> list[Proof | str]:
    found: list[Proof | str] = []
    while (answer := serving.next()) is not None:
        message, _ = answer
        if isinstance(message, NoData):
            found.append(message.reason)
        else:
            found.append(Proof.from_bytes(message.proof))
    return found


def ask(serving: Serving, **fields: object) -> list[Proof | str]:
    serving.add(Request(**{"id": 1, "fork": 0, "length": 100, "since": 100, **fields}))  # type: ignore[arg-type]  # the test's words
    return answers(serving)


def test_a_range_is_one_unsigned_proof(serving: Serving) -> None:
    (proof,) = ask(serving, runs=(10, 20))
    assert isinstance(proof, Proof)
    assert list(proof.blocks) == list(range(10, 30))
    assert not proof.question.signed


def test_the_latest_head_comes_with_the_blocks(serving: Serving) -> None:
    (proof,) = ask(serving, length=0, since=64, runs=(70, 2))
    assert isinstance(proof, Proof)
    assert (proof.question.since, proof.length, proof.question.signed) == (64, 100, True)
    assert list(proof.blocks) == [70, 71]


def test_an_old_length_is_served(feed: Feed, serving: Serving) -> None:
    feed.append(b"more")
    serving._standing.refresh()
    (unsigned,) = ask(serving, runs=(5, 1))
    (signed,) = ask(serving, runs=(5, 1), since=0)
    assert isinstance(unsigned, Proof)
    assert isinstance(signed, Proof)
    assert (unsigned.length, signed.length) == (100, 100)
    assert signed.question.signed


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"length": 0}, messages.CURRENT),
        ({"length": 0, "since": 101}, messages.CURRENT),
        ({"length": 200, "since": 200}, messages.UNKNOWN),
        ({"length": 50, "since": 0}, messages.UNKNOWN),  # no head was signed there
        ({"fork": 1}, messages.UNKNOWN),
        ({"seek": 10**9}, messages.UNKNOWN),
        ({"hint": ("other", b"")}, messages.UNSUPPORTED),
    ],
)
def test_what_there_is_not(serving: Serving, fields: dict[str, object], reason: str) -> None:
    assert ask(serving, **fields) == [reason]


def test_only_what_is_held_is_sent(feed: Feed, serving: Serving) -> None:
    feed.clear(0, 50)
    serving._standing.refresh()
    (proof, *rest) = ask(serving, runs=(40, 20))
    assert isinstance(proof, Proof)
    assert list(proof.blocks) == list(range(50, 60))
    assert rest == []
    assert ask(serving, runs=(0, 10)) == [messages.MISSING]


def test_large_answers_are_cut_into_records(feed: Feed, serving: Serving) -> None:
    feed.extend([bytes(300_000)] * 10)
    serving._standing.refresh()
    proofs = ask(serving, length=0, since=100, runs=(90, 20))
    blocks = [list(proof.blocks) for proof in proofs if isinstance(proof, Proof)]
    assert [index for part in blocks for index in part] == list(range(90, 110))
    assert len(blocks) > 2
    for proof in proofs:
        assert isinstance(proof, Proof)
        assert sum(map(len, proof.data)) <= RECORD_SIZE
        assert proof.question.signed == (proof is proofs[0])
    assert not serving


def test_an_urgent_request_overtakes_and_is_not_answered_twice(
    feed: Feed, serving: Serving
) -> None:
    feed.extend([bytes(300_000)] * 10)
    serving._standing.refresh()
    serving.add(Request(1, 0, 110, 110, (100, 10)))
    first = serving.next()
    serving.add(Request(2, 0, 110, 110, (108, 1), urgent=True))
    second = serving.next()
    assert first is not None
    assert second is not None
    assert (first[0].id, second[0].id) == (1, 2)
    rest = answers(serving)
    assert 108 not in [i for proof in rest if isinstance(proof, Proof) for i in proof.blocks]


def test_what_is_cancelled_is_not_sent(serving: Serving) -> None:
    serving.add(Request(1, 0, 100, 100, (0, 5)))
    serving.add(Request(2, 0, 100, 100, (5, 5)))
    serving.cancel(1)
    serving.cancel(99)
    ((message, urgent),) = [serving.next()]  # type: ignore[misc]  # there is one
    assert isinstance(message, Data)
    assert (message.id, message.last, urgent) == (2, True, False)
    serving.add(Request(3, 0, 100, 100, (5, 5)))
    serving.clear()
    assert serving.next() is None


def test_a_hint_names_blocks(serving: Serving) -> None:
    (proof,) = ask(serving, hint=("named", bytes([1, 200, 50])))
    assert isinstance(proof, Proof)
    assert list(proof.blocks) == [1, 50]


def test_a_hint_that_does_not_parse_is_the_peers_fault(serving: Serving) -> None:
    with pytest.raises(ProtocolError):
        ask(serving, hint=("named", b"bad"))


def test_hashes_and_bytes(serving: Serving) -> None:
    (proof,) = ask(serving, hashes=(31,), length=0, since=0)
    assert isinstance(proof, Proof)
    assert proof.question.hashes == (31,)
    (proof,) = ask(serving, seek=500)
    assert isinstance(proof, Proof)
    assert proof.seek == 500


def test_hashes_of_a_truncated_fork_keep_nobody_from_the_new_head(
    feed: Feed, serving: Serving
) -> None:
    feed.truncate(10)
    serving._standing.refresh()
    (proof,) = ask(serving, length=0, since=0, hashes=tuple(flat_tree.roots(100)))
    assert isinstance(proof, Proof)
    assert (proof.fork, proof.length, proof.question.hashes) == (1, 10, ())
