"""Getting a message to an announcer, step by step and without datagrams."""

from __future__ import annotations

from feedlog.keys import KeyPair
from net.dht.codes import Code
from net.dht.contacts import Contact
from net.dht.introducing import MAX_HOLDERS, RESEND, WIDTH, Introducing
from net.dht.messages import Arguments, Found, Introduce, Introduced, Lookup
from net.dht.operations import To
from net.dht.query import Query
from net.dht.records import sign_announcement
from net.dht.storage import Way
from tests.reference.dht_network import address_of

TOPIC, ME = bytes(20), b"\x01" * 20
KEY = KeyPair.from_seed(bytes(32))
RECORD = sign_announcement(KEY, TOPIC, [("9.9.9.9", 1)], seq=1, expiry=2).raw


def contact(number: int) -> Contact:
    return Contact(number.to_bytes(20, "big"), address_of(number))


def introducing(count: int, way: Way | None = None) -> Introducing:
    query = Query(TOPIC)
    query.start(contact(n) for n in range(1, count + 1))
    return Introducing(ME, query, KEY.public_key, b"hello", way)


def crawl(operation: Introducing, *, showing: bool = False) -> list[To]:
    """Answer lookups until other requests are sent; returns these."""
    while requests := operation.requests(0.0):
        rest = [to for to in requests if not isinstance(to[2], Lookup)]
        if rest:
            return rest
        for _, to, _ in requests:
            assert to is not None
            records = [RECORD] if showing else []
            operation.found(to, Found(to.id, to.id[-8:], b"", b"", records), [])
    return []


def what(to: To) -> Arguments:
    return to[2]


def test_who_shows_the_record_is_asked_before_the_crawl_is_over() -> None:
    operation = introducing(8)
    (_, first, _), *_ = operation.requests(0.0)
    assert first is not None
    operation.found(first, Found(first.id, bytes(8), b"", b"", [RECORD]), [])
    asked = [to for to in operation.requests(0.0) if isinstance(what(to), Introduce)]
    assert [to for _, to, _ in asked] == [first]
    operation.answered(b"hi")
    assert operation.done
    assert operation.requests(0.0) == []


def test_the_closest_are_asked_though_they_show_nothing_and_so_many_at_once() -> None:
    operation = introducing(8)
    asked = crawl(operation)
    assert [to for _, to, _ in asked] == [contact(n) for n in range(1, WIDTH + 1)]
    for address, to, arguments in asked:
        assert isinstance(arguments, Introduce)
        assert to is not None
        assert (address, arguments.token) == (to.address, to.id[-8:])
    operation.refused(contact(1), what(asked[0]), Code.NO_ANNOUNCER)
    ((_, following, _),) = operation.requests(0.0)
    assert following == contact(WIDTH + 1)


def test_a_late_holder_is_asked_again_and_the_next_beside_it() -> None:
    operation = introducing(8)
    asked = crawl(operation)
    assert operation.next_timeout() == RESEND
    again = operation.requests(RESEND)
    assert [to for _, to, _ in again[:WIDTH]] == [to for _, to, _ in asked]
    assert [to for _, to, _ in again[WIDTH:]] == [contact(n) for n in range(4, 7)]
    assert operation.requests(RESEND) == []
    assert operation.next_timeout() == 2 * RESEND
    operation.answered(b"hi")
    assert operation.answer == b"hi"


def test_it_ends_when_all_have_refused_or_are_silent() -> None:
    operation = introducing(5)
    waiting = crawl(operation)
    refused = 0
    while waiting:
        (_, to, arguments), waiting = waiting[0], waiting[1:]
        if refused < 3:
            code = [Code.NO_ANNOUNCER, Code.BUSY, Code.SILENT][refused]
            operation.refused(to, arguments, code)
            refused += 1
        else:
            operation.failed(to, arguments)
        waiting += operation.requests(0.0)
    assert operation.done
    assert operation.refusals == {Code.NO_ANNOUNCER: 1, Code.BUSY: 1}
    assert (operation.silent, operation.asked) == (3, 5)


def test_a_holder_among_ourselves_needs_no_token() -> None:
    way = Way(("7.7.7.7", 7), b"ticket..")
    operation = introducing(0, way)
    ((address, to, arguments),) = operation.requests(0.0)
    assert (address, to) == (way.address, None)
    assert arguments == Introduced(ME, way.ticket, TOPIC, b"hello")
    operation.failed(None, arguments)
    operation.requests(0.0)
    assert (operation.done, operation.silent) == (True, 1)


def test_liars_that_put_themselves_forward_do_not_crowd_out_the_closest() -> None:
    operation = introducing(100)
    asked: list[Contact | None] = []
    now = 0.0
    while not operation.done:
        now += 1.5
        for _, to, arguments in operation.requests(now):
            assert to is not None
            if isinstance(arguments, Lookup):
                near = int.from_bytes(to.id, "big") <= 8
                records = [] if near else [RECORD]
                # Liars are asked first, for the crawl is fed with them.
                operation.found(to, Found(to.id, bytes(8), b"", b"", records), [])
            else:
                asked.append(to)
                operation.refused(to, arguments, Code.NO_ANNOUNCER)
    assert {contact(n) for n in range(1, 9)} <= set(asked)
    assert len(asked) <= MAX_HOLDERS
