"""Requests and answers become datagrams, and find each other again."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from feedlog.errors import DecodeError
from net.dht.codes import Code
from net.dht.datagrams import Request
from net.dht.exchange import Exchange
from net.dht.messages import Ping

HERE, THERE = ("1.2.3.4", 5), ("1.2.3.4", 6)


def test_an_answer_finds_its_request_once_and_only_from_where_it_went() -> None:
    counters: Counter[str] = Counter()
    asker, answerer = Exchange(Random(1), counters), Exchange(Random(2), Counter())
    asked = asker.ask(HERE, Ping(b""), None, 0.0, operation=7)
    ((data, address),) = asker.datagrams_to_send()
    request = answerer.receive(data, THERE, 0.1)
    assert isinstance(request, Request)
    assert (address, request.message_id) == (HERE, asked)
    answerer.answer(asked, THERE, None, Code.BUSY)
    ((answer, _),) = answerer.datagrams_to_send()
    assert asker.receive(answer, THERE, 0.2) is None
    received = asker.receive(answer, HERE, 0.2)
    assert received is not None
    assert not isinstance(received, Request)
    call, response = received
    assert (call.operation, response.code) == (7, Code.BUSY)
    assert asker.receive(answer, HERE, 0.2) is None
    assert counters["unmatched"] == 2
    assert (len(asker), asker.next_deadline(), asker.datagrams_to_send()) == (0, None, [])


def test_each_request_has_its_own_time() -> None:
    exchange = Exchange(Random(1), Counter())
    exchange.ask(HERE, Ping(b""), None, 0.0, timeout=3.0)
    exchange.ask(THERE, Ping(b""), None, 0.5, timeout=1.0)
    assert exchange.next_deadline() == 1.5
    assert [call.address for call in exchange.expire(2.0)] == [THERE]
    assert [call.address for call in exchange.expire(3.0)] == [HERE]


def test_noise_is_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        Exchange(Random(1), Counter()).receive(bytes(100), HERE, 0.0)


def test_one_that_hides_says_no_id_and_the_time_of_answers_is_learned() -> None:
    asker, answerer = Exchange(Random(1), Counter()), Exchange(Random(2), Counter())
    asker.observations.hidden = True
    before = asker.round_trips.patience
    for n in range(20):
        asker.ask(HERE, Ping(bytes(20)), None, float(n))
        ((data, _),) = asker.datagrams_to_send()
        request = answerer.receive(data, THERE, n)
        assert isinstance(request, Request)
        assert request.arguments.sender == b""
        answerer.answer(request.message_id, THERE, None)
        ((answer, _),) = answerer.datagrams_to_send()
        assert asker.receive(answer, HERE, n + 0.01) is not None
    assert asker.round_trips.patience < before
    assert asker.observations.reports == {HERE: THERE}
