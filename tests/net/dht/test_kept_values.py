"""Which values a node publishes, and when it renews them."""

from __future__ import annotations

from random import Random

import pytest

from feedlog.keys import KeyPair
from net.dht.kept_values import (
    MAX_KEPT_VALUES,
    RENEW_VALUE_AFTER,
    RETRY_VALUE_AFTER,
    KeptValues,
)
from net.dht.value_records import VALUE_LIFETIME, Value

KEY = KeyPair.from_seed(bytes(32))
UNIX = 1_800_000_000.0


@pytest.fixture
def kept() -> KeptValues:
    return KeptValues(Random(1))


def sign(kept: KeptValues, content: bytes = b"v", salt: bytes = b"") -> Value:
    value = kept.sign(KEY, content, salt, None, UNIX)
    kept.keep(KEY, value, 0.0)
    return value


def test_numbers_rise_and_one_that_is_named_is_taken(kept: KeptValues) -> None:
    first, second = sign(kept), sign(kept)
    assert (first.seq, second.seq) == (int(UNIX * 1000), int(UNIX * 1000) + 1)
    assert kept.sign(KEY, b"v", b"", 7, UNIX).seq == 7
    assert (len(kept), kept.get(first.topic)) == (1, second)


def test_what_is_held_is_renewed_as_it_was_and_what_is_not_is_tried_again(
    kept: KeptValues,
) -> None:
    value = sign(kept)
    kept.held(value, 0, 0.0)
    ((again, _),) = kept.due(RETRY_VALUE_AFTER, UNIX)
    kept.held(again, 8, RETRY_VALUE_AFTER)
    assert kept.due(0.9 * RENEW_VALUE_AFTER, UNIX) == []
    ((renewed, _),) = kept.due(RENEW_VALUE_AFTER + RETRY_VALUE_AFTER, UNIX + 100)
    assert renewed.renews(value)
    assert renewed.expiry == int(UNIX) + 100 + VALUE_LIFETIME
    assert VALUE_LIFETIME > 2 * (RENEW_VALUE_AFTER + RETRY_VALUE_AFTER)


def test_what_nobody_holds_or_everything_is_held_anew_at_once(kept: KeptValues) -> None:
    held, lonely = sign(kept), sign(kept, salt=b"1")
    kept.held(held, 8, 0.0)
    kept.held(lonely, 0, 0.0)
    kept.hurry(1.0)
    assert [value.salt for value, _ in kept.due(1.0, UNIX)] == [b"1"]
    kept.hurry(2.0, held_too=True)
    assert len(kept.due(2.0, UNIX)) == 2


def test_what_it_is_to_replace_counts_until_somebody_holds_it(kept: KeptValues) -> None:
    value = kept.sign(KEY, b"v", b"", 9, UNIX)
    kept.keep(KEY, value, 0.0, cas=7)
    assert [cas for _, cas in kept.due(RETRY_VALUE_AFTER, UNIX)] == [7]
    kept.held(value, 0, 0.0)
    assert [cas for _, cas in kept.due(RETRY_VALUE_AFTER, UNIX)] == [7]
    kept.held(value, 1, 0.0)
    assert [cas for _, cas in kept.due(RENEW_VALUE_AFTER, UNIX)] == [None]


def test_what_others_refuse_or_was_replaced_is_not_renewed(kept: KeptValues) -> None:
    kept.refused(sign(kept))
    sign(kept, salt=b"1")
    kept.held(kept.sign(KEY, b"not to be kept", b"1", None, UNIX), 3, 0.0)
    assert (len(kept), kept.due(1e9, UNIX)) == (0, [])


def test_the_end_of_another_one_says_nothing(kept: KeptValues) -> None:
    older = sign(kept, b"1")
    newer = sign(kept, b"2")
    kept.keep(KEY, older, 0.0)
    kept.held(older, 8, 0.0)
    kept.refused(older)
    kept.refused(kept.sign(KEY, b"3", b"", newer.seq, UNIX))
    kept.refused(kept.sign(KEY, b"4", b"", None, UNIX))
    ((due, _),) = kept.due(1e9, UNIX)
    assert due.value == newer.value


def test_so_many_are_kept(kept: KeptValues) -> None:
    topics = [sign(kept, salt=b"%d" % n).topic for n in range(MAX_KEPT_VALUES)]
    kept.check_room(topics[:2])
    with pytest.raises(ValueError, match="at most 256"):
        kept.check_room([*topics[:2], bytes(20)])
