"""Slots under a topic's key: who takes which, and what a reader believes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.records import MAX_LIFETIME, Announcement, sign_announcement
from net.mainline.slots import SLOTS, choose_slot, read_slot

UNIX = 1_800_000_000
TOPIC = bytes(range(20))
PAIRS = [KeyPair.from_seed(bytes([n]) * 32) for n in range(SLOTS + 1)]
HERE: tuple[Address, ...] = (("192.0.2.1", 1),)


def record(
    pair: KeyPair,
    *,
    topic: bytes = TOPIC,
    addresses: Sequence[Address] = HERE,
    expiry: int = UNIX + MAX_LIFETIME,
) -> Announcement:
    return sign_announcement(pair, topic, addresses, seq=1, expiry=expiry)


def test_a_live_record_of_the_topic_is_read() -> None:
    good = record(PAIRS[0])
    assert read_slot(good.raw, TOPIC, UNIX) == good


def test_anything_else_is_an_empty_slot() -> None:
    spoiled = [
        record(PAIRS[0], topic=bytes(20)).raw,
        record(PAIRS[0], addresses=()).raw,
        record(PAIRS[0], expiry=UNIX).raw,
        record(PAIRS[0], expiry=UNIX + 3 * MAX_LIFETIME).raw,
        record(PAIRS[0]).raw[:-1] + b"\x00",
        b"",
        7,
        ["list"],
        {b"a": 1},
        None,
    ]
    assert [read_slot(value, TOPIC, UNIX) for value in spoiled] == [None] * len(spoiled)


@given(st.binary(max_size=400))
def test_no_bytes_raise(value: bytes) -> None:
    assert read_slot(value, TOPIC, UNIX) is None


@given(
    st.lists(st.sampled_from([None, *range(SLOTS)]), min_size=SLOTS, max_size=SLOTS),
    st.integers(0, SLOTS),
    st.integers(),
)
def test_one_keeps_what_one_has_and_takes_what_is_free(
    owners: list[int | None], own: int, seed: int
) -> None:
    held = [None if owner is None else record(PAIRS[owner]) for owner in owners]
    slot = choose_slot(held, PAIRS[own].public_key, Random(seed))
    if own in owners:
        assert slot == owners.index(own)
    elif None in owners:
        assert slot is not None
        assert owners[slot] is None
    else:
        assert slot is None
