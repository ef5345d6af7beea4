"""What this node announces: which topics, at which addresses, and when to say it again.

Invariant: a record that is signed later has a higher seq, also across topics and when the
time of day goes back. Must not know who holds the records.
Specified in docs/spec/dht.md, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from feedlog.keys import KeyPair
from net.addresses import Address
from net.dht.records import MAX_LIFETIME, Announcement, sign_announcement

RENEW_AFTER = 1200.0
"""Seconds after which an announcement is renewed: a third of its life, so two may fail."""

RETRY_AFTER = 30.0
"""Seconds after which an announcement that nobody holds is tried again."""


@dataclass(slots=True)
class Publication:
    """A topic that we announce."""

    addresses: tuple[Address, ...]
    due: float
    seq: int = 0
    stored: int = 0


class Publications:
    """The topics that the owner of a key announces."""

    def __init__(self, key_pair: KeyPair, rng: Random) -> None:
        self._key_pair = key_pair
        self._rng = rng
        self._topics: dict[bytes, Publication] = {}
        self._seq = 0

    def put(self, topic: bytes, addresses: Sequence[Address], now: float) -> None:
        """Announce a topic from now on, at these addresses in place of others."""
        self._topics[topic] = Publication(tuple(addresses), now + RETRY_AFTER)

    def sign(self, topic: bytes, now: float, unix: float) -> Announcement:
        """Sign the record to spread now; for a topic that we do not announce, its withdrawal."""
        self._seq = max(int(unix * 1000), self._seq + 1)
        publication = self._topics.get(topic)
        if publication is not None:
            publication.seq = self._seq
            publication.due = now + RETRY_AFTER  # unless `spread` says better
        return sign_announcement(
            self._key_pair,
            topic,
            publication.addresses if publication is not None else (),
            seq=self._seq,
            expiry=int(unix) + MAX_LIFETIME,
        )

    def drop(self, topic: bytes) -> None:
        """Announce a topic no more."""
        self._topics.pop(topic, None)

    def spread(self, record: Announcement, stored: int, now: float) -> None:
        """Note how many nodes hold a record, unless a newer one is on its way."""
        publication = self._topics.get(record.topic)
        if publication is not None and publication.seq == record.seq:
            publication.stored = stored
            wait = RENEW_AFTER if stored else RETRY_AFTER
            publication.due = now + wait * self._rng.uniform(0.9, 1.0)

    def hurry(self, now: float, *, held_too: bool = False) -> None:
        """Have what nobody holds, or everything, spread at once."""
        for publication in self._topics.values():
            if held_too or not publication.stored:
                publication.due = now

    def due(self, now: float) -> list[bytes]:
        """Return the topics whose records are to be signed and spread."""
        return [topic for topic, publication in self._topics.items() if publication.due <= now]
