"""What this node announces, and its touch with those who hold it.

`publications` says what is to be spread and when, `holders` who is kept in touch with, if we
take introductions at all; here each learns what the other has to know.

Invariant: an announcement that few nodes hold, or that was made from an address which is not
ours any more, comes to be due. Specified in docs/spec/dht.md, sections 4 and 10.
"""

from __future__ import annotations

from random import Random

from feedlog.keys import SIGNATURE_SIZE, KeyPair
from net.addresses import Address
from net.dht.announcement_operations import Prove
from net.dht.contacts import Contact
from net.dht.hashing import peer_topic, way_signable
from net.dht.holders import Holders
from net.dht.messenger import Messenger
from net.dht.publications import Publications
from net.dht.records import Announcement


class Announcer:
    """Announces for the owner of a key."""

    def __init__(
        self, key_pair: KeyPair, rng: Random, messenger: Messenger, *, introductions: bool
    ) -> None:
        self.publications = Publications(key_pair, rng)
        self._key_pair = key_pair
        self._messenger = messenger
        self._holders = Holders() if introductions else None
        self._first = peer_topic(key_pair.public_key)

    def held(self, record: Announcement, contact: Contact, seen_as: Address, now: float) -> None:
        """Note that a node has just taken a record, from an address of ours as it sees it."""
        if self._holders is not None and not record.withdrawn:
            self._holders.held(contact, seen_as, now, first=record.topic == self._first)

    def answered(self, contact: Contact, seen_as: Address, now: float) -> float | None:
        """Take the answer to a ping; returns when something is due because of it."""
        if self._holders is None or not self._holders.answered(contact, seen_as):
            return None
        return self.publications.moved(contact.id, now)

    def silent(self, contact: Contact, now: float) -> float | None:
        """Note that a ping had no answer; returns when something is due because of it."""
        if self._holders is None or not self._holders.silent(contact, now):
            return None
        return self.publications.gone(contact.id, now)

    def prove(self) -> Prove | None:
        """Return what makes tickets for holders; None when we take no introductions."""
        return None if self._holders is None else self._prove

    def pings(self, now: float, *, behind_router: bool = False) -> list[Contact]:
        """Return the holders to ping now: more often if a router might forget us."""
        if self._holders is None:
            return []
        self._holders.behind_router = behind_router
        return self._holders.due(now)

    def next_ping(self) -> float | None:
        """Return when `pings` will have something to say."""
        return None if self._holders is None else self._holders.next_due()

    def keep_up(self) -> None:
        """Lose touch with those that hold nothing any more; not while something is spread."""
        if self._holders is not None:
            self._holders.retain(self.publications.holders())

    def _prove(self, contact: Contact, token: bytes, record: Announcement) -> tuple[bytes, bytes]:
        ticket = self._messenger.ticket(contact.address)
        signable = way_signable(contact.id, token, ticket, record.raw[-SIGNATURE_SIZE:])
        return ticket, self._key_pair.sign(signable)
