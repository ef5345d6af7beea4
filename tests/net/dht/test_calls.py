"""Which answer belongs to which question."""

from __future__ import annotations

from net.dht.calls import Call, Calls
from net.dht.messages import Ping

TIMEOUT = 1.0
HERE, THERE = ("1.2.3.4", 5), ("1.2.3.4", 6)


def begin(calls: Calls, number: int, now: float) -> Call:
    call = Call(bytes([number]) * 20, HERE, Ping(b""), None, number, now, now + TIMEOUT)
    calls.begin(call)
    return call


def test_matched_by_id_and_address_and_once() -> None:
    calls = Calls()
    call = begin(calls, 1, 0.0)
    assert calls.match(call.message_id, THERE) is None
    assert calls.match(bytes(20), HERE) is None
    assert calls.match(call.message_id, HERE) is call
    assert calls.match(call.message_id, HERE) is None
    assert calls.next_deadline() is None


def test_each_ends_at_its_deadline() -> None:
    calls = Calls()
    first, second = begin(calls, 1, 0.0), begin(calls, 2, 0.5)
    assert calls.next_deadline() == TIMEOUT
    assert calls.expire(TIMEOUT - 0.1) == []
    assert calls.expire(TIMEOUT) == [first]
    assert calls.expire(TIMEOUT + 0.5) == [second]
    assert len(calls) == 0


def test_those_with_less_time_end_first() -> None:
    calls = Calls()
    slow = Call(bytes(20), HERE, Ping(b""), None, 1, 0.0, 3.0)
    quick = Call(bytes(19) + b"1", HERE, Ping(b""), None, 2, 0.0, 1.0)
    for call in (slow, quick):
        calls.begin(call)
    assert calls.next_deadline() == 1.0
    assert calls.match(quick.message_id, HERE) is quick
    assert calls.next_deadline() == 3.0
    assert calls.expire(5.0) == [slow]
    assert calls.next_deadline() is None
