"""What this node announces: which topics, at which addresses, and when to say it again.

Invariant: a record that is signed later has a higher seq, also across topics and when the
time of day goes back. Must not know who holds the records.
Specified in docs/spec/dht.md, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from feedlog.keys import KeyPair
from net.addresses import Address, RelayAddress
from net.dht.query import WANT
from net.dht.records import MAX_LIFETIME, Announcement, sign_announcement

RENEW_AFTER = 1200.0
"""Seconds after which an announcement is renewed: a third of its life, so two may fail."""

RETRY_AFTER = 30.0
"""Seconds after which an announcement that nobody holds is tried again."""

NEWCOMER_AFTER = 5.0
"""Seconds in which a node that lookups would now ask gets the record: several may come at once."""


MOVE_EVERY = 10.0
"""Seconds between two announcements of a topic because a holder sees us elsewhere: it may lie."""

FEW_HOLDERS = 4
"""Holders below which the loss of one has an announcement renewed: half of those it should have."""


@dataclass(slots=True)
class Publication:
    """A topic that we announce."""

    addresses: tuple[Address, ...]
    relays: tuple[RelayAddress, ...]
    due: float
    seq: int = 0
    signed: float = -math.inf
    holders: tuple[bytes, ...] = ()
    reach: int = 0
    """The distance to the topic of the farthest of them."""


class Publications:
    """The topics that the owner of a key announces."""

    def __init__(self, key_pair: KeyPair, rng: Random) -> None:
        self._key_pair = key_pair
        self._rng = rng
        self._topics: dict[bytes, Publication] = {}
        self._seq = 0

    def put(
        self,
        topic: bytes,
        addresses: Sequence[Address],
        now: float,
        relays: Sequence[RelayAddress] = (),
    ) -> None:
        """Announce a topic from now on, at these addresses and relays in place of others."""
        self._topics[topic] = Publication(tuple(addresses), tuple(relays), now + RETRY_AFTER)

    def sign(self, topic: bytes, now: float, unix: float) -> Announcement:
        """Sign the record to spread now; for a topic that we do not announce, its withdrawal."""
        self._seq = max(int(unix * 1000), self._seq + 1)
        publication = self._topics.get(topic)
        if publication is not None:
            publication.seq = self._seq
            publication.signed = now
            publication.due = now + RETRY_AFTER  # unless `spread` says better
        return sign_announcement(
            self._key_pair,
            topic,
            publication.addresses if publication is not None else (),
            publication.relays if publication is not None else (),
            seq=self._seq,
            expiry=int(unix) + MAX_LIFETIME,
        )

    def drop(self, topic: bytes) -> None:
        """Announce a topic no more."""
        self._topics.pop(topic, None)

    def spread(self, record: Announcement, holders: Sequence[bytes], now: float) -> None:
        """Note which nodes hold a record, by id, unless a newer one is on its way."""
        publication = self._topics.get(record.topic)
        if publication is not None and publication.seq == record.seq:
            publication.holders = tuple(holders)
            publication.reach = max((_distance(one, record.topic) for one in holders), default=0)
            wait = RENEW_AFTER if holders else RETRY_AFTER
            publication.due = now + wait * self._rng.uniform(0.9, 1.0)

    def hurry(self, now: float, *, held_too: bool = False) -> None:
        """Have what nobody holds, or everything, spread at once."""
        for publication in self._topics.values():
            if held_too or not publication.holders:
                publication.due = now

    def met(self, node: bytes, now: float) -> bool:
        """Learn of a node that is new to us; True if it should hold a record and does not.

        A network that grows between two renewals would otherwise look for the record
        where it is not, among nodes that are closer to the topic than those that hold it.
        """
        concerned = False
        for topic, publication in self._topics.items():
            short = len(publication.holders) < WANT
            if node not in publication.holders and (
                short or _distance(node, topic) < publication.reach
            ):
                publication.due = min(publication.due, now + NEWCOMER_AFTER)
                concerned = True
        return concerned

    def moved(self, holder: bytes, now: float) -> float | None:
        """Have what a holder got from another address of ours spread anew; tells when it is due."""
        times = []
        for publication in self._topics.values():
            if holder in publication.holders:
                due = max(now, publication.signed + MOVE_EVERY)
                publication.due = min(publication.due, due)
                times.append(publication.due)
        return min(times, default=None)

    def gone(self, holder: bytes, now: float) -> float | None:
        """Forget a holder; tells when an announcement is due that few others hold."""
        times = []
        for publication in self._topics.values():
            if holder in publication.holders:
                publication.holders = tuple(h for h in publication.holders if h != holder)
                if len(publication.holders) < FEW_HOLDERS:
                    due = max(now, publication.signed + MOVE_EVERY)
                    publication.due = min(publication.due, due)
                    times.append(publication.due)
        return min(times, default=None)

    def holders(self) -> set[bytes]:
        """Return the ids of all nodes that hold something of ours."""
        return {holder for one in self._topics.values() for holder in one.holders}

    def due(self, now: float) -> list[bytes]:
        """Return the topics whose records are to be signed and spread."""
        return [topic for topic, publication in self._topics.items() if publication.due <= now]


def _distance(node: bytes, topic: bytes) -> int:
    return int.from_bytes(node, "big") ^ int.from_bytes(topic, "big")
