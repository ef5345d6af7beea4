"""Several announcers under one key: who writes where, and what a reader makes of it.

BEP 44 has one value for a key and a salt, and whoever has the key replaces it. So a topic has
SLOTS items, each with one signed announcement. An announcer keeps the slot that it has, else takes
one that is free, drawn so that two who come together seldom choose the same; when none is free
it stays out: readers then know SLOTS others.

Invariant: nobody is believed whose record is not signed, of this topic, and alive.
Specified in docs/spec/mainline.md, section 3. Must not know libtorrent.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from feedlog.errors import DecodeError
from net.dht.records import MAX_LIFETIME, Announcement, parse_announcement

SLOTS = 8
"""Each is looked up on its own: 8 find somebody, and a lookup stays at some hundred packets."""


def read_slot(value: object, topic: bytes, unix: float) -> Announcement | None:
    """Return the live announcement in an item, None for anything else."""
    if not isinstance(value, bytes):
        return None
    try:
        record = parse_announcement(value)
    except DecodeError:
        return None
    alive = unix < record.expiry <= unix + 2 * MAX_LIFETIME and not record.withdrawn
    return record if alive and record.topic == topic else None


def choose_slot(held: Sequence[Announcement | None], public_key: bytes, rng: Random) -> int | None:
    """Return the slot for the owner of a key, None when all have other owners."""
    for slot, record in enumerate(held):
        if record is not None and record.public_key == public_key:
            return slot
    free = [slot for slot, record in enumerate(held) if record is None]
    return rng.choice(free) if free else None
