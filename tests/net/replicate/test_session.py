"""What one peer may say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedlog import Feed, Store
from net.errors import LimitError, PeerError
from net.replicate.link import Asked
from net.replicate.messages import Cancel, Data, Have, Info, NoData, Request, decode, encode
from net.replicate.session import MAX_OUTBOX, Sent, Session
from net.replicate.spans import Spans
from net.replicate.standing import Standing


@pytest.fixture
def feed(stores: Callable[[], Store]) -> Feed:
    feed = stores().feed("log")
    feed.extend(b"block %d" % i for i in range(100))
    return feed


@pytest.fixture
def session(feed: Feed) -> Session:
    return Session(0, Standing(feed), {}, "peer")


def send(session: Session, **fields: object) -> Sent:
    request = Request(**{"id": 1, "fork": 0, "length": 100, "since": 100, **fields})  # type: ignore[arg-type]  # the test's words
    sent = Sent(request, Asked(request.id, Spans([(0, 10)]), True, 0))
    session.put_request(sent)
    return sent


def test_offers_replace_those_of_the_same_window(session: Session) -> None:
    session.receive(encode(Have(0, 100, (0, 100))))
    session.receive(encode(Have(10, 50, (5, 5))))
    assert session.link.have == Spans([(0, 10), (15, 20), (50, 100)])


def test_a_claim_is_not_taken_back_by_an_older_word(session: Session) -> None:
    assert session.position == (-1, 0)
    session.receive(encode(Info(1, 0, 10)))
    session.claim(0, 12)
    session.receive(encode(Info(1, 0, 11)))
    assert session.position == (0, 12)
    session.receive(encode(Info(1, 1, 5)))
    assert session.position == (1, 5)


def test_requests_go_first_and_urgently(session: Session) -> None:
    send(session)
    message = session.next_message()
    assert message is not None
    assert message[1]
    assert isinstance(decode(message[0]), Request)
    assert session.next_message() is None


def test_an_answer_is_matched_with_its_request(feed: Feed, session: Session) -> None:
    sent = send(session, runs=(0, 10))
    proof = feed.prove(range(10), since=100, length=100, signed=False)
    session.receive(encode(Data(1, proof.to_bytes(), last=True)))
    (arrival,) = session.arrivals
    assert (arrival.sent, arrival.wasted, arrival.last) == (sent, 0, True)


def test_blocks_that_came_another_way_are_counted(feed: Feed, session: Session) -> None:
    sent = send(session, runs=(0, 10))
    sent.asked.spans.remove(0, 4)
    proof = feed.prove(range(10), since=100, length=100, signed=False)
    session.receive(encode(Data(1, proof.to_bytes(), last=True)))
    assert session.arrivals[0].wasted == 4


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"runs": (0, 5)}, {"blocks": range(10)}),
        ({"runs": (0, 10)}, {"blocks": range(10), "signed": True, "since": 0}),
        ({"runs": (0, 10)}, {"blocks": range(10), "anchors": [7]}),
        ({"runs": (0, 10)}, {"blocks": range(10), "hashes": [7]}),
        ({"runs": (0, 10)}, {"blocks": range(10), "seek": 3}),
        ({"length": 0, "since": 64}, {"since": 0, "signed": True}),
    ],
)
def test_an_answer_shows_what_was_asked_for_and_no_more(
    feed: Feed, session: Session, asked: dict[str, object], answer: dict[str, object]
) -> None:
    send(session, **asked)
    proof = feed.prove(**{"since": 100, "length": 100, "signed": False, **answer})  # type: ignore[arg-type]  # the test's words
    with pytest.raises(PeerError, match="not asked"):
        session.receive(encode(Data(1, proof.to_bytes(), last=True)))


def test_a_late_answer_is_no_fault(feed: Feed, session: Session) -> None:
    send(session, runs=(0, 10))
    session.sent.clear()
    proof = feed.prove(range(10), since=100, length=100, signed=False)
    session.receive(encode(Data(1, proof.to_bytes(), last=True)))
    session.receive(encode(NoData(1)))
    assert not session.arrivals
    assert session.unasked == 10


def test_a_cancelled_request_is_not_served(session: Session) -> None:
    session.receive(encode(Request(1, 0, 100, 100, (0, 5))))
    session.receive(encode(Cancel(1)))
    assert session.next_message() is None


def test_a_peer_that_reads_nothing_costs_a_bounded_amount(session: Session) -> None:
    have = Have(0, 2**40, (1, 1) * 4096)
    size = len(encode(have))
    for _ in range(MAX_OUTBOX // size):
        session.put(have)
    with pytest.raises(LimitError):
        session.put(have)
