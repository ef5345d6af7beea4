"""What this node announces: made anew when it is due, and in touch with those who hold it.

`publications` says what is to be spread and when, `holders` who is kept in touch with, if we
take introductions at all; here each learns what the other has to know.

Invariant: an announcement that few nodes hold, or that was made from an address which is not
ours any more, comes to be due. What is announced is also held here, so that one node alone is a
network, too. Specified in docs/spec/dht.md, sections 4 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from feedlog.keys import SIGNATURE_SIZE, KeyPair
from net.addresses import Address, RelayAddress, canonical
from net.dht.announcement_operations import Prove, Publish
from net.dht.contacts import Contact
from net.dht.hashing import peer_topic, way_signable
from net.dht.holders import Holders
from net.dht.messenger import Messenger
from net.dht.publications import Publications
from net.dht.records import Announcement, fitting
from net.dht.runner import Runner
from net.dht.storage import RecordStore


class Announcer:
    """Announces for the owner of a key."""

    def __init__(
        self,
        key_pair: KeyPair,
        store: RecordStore[Announcement],
        runner: Runner,
        messenger: Messenger,
        sender: bytes,
        rng: Random,
    ) -> None:
        self.publications = Publications(key_pair, rng)
        self._key_pair = key_pair
        self._store = store
        self._runner = runner
        self._messenger = messenger
        self._sender = sender
        self._holders = Holders() if messenger.takes else None
        self._first = peer_topic(key_pair.public_key)

    def announce(
        self,
        topic: bytes,
        addresses: Sequence[Address],
        relays: Sequence[RelayAddress],
        now: float,
        unix: float,
    ) -> Publish:
        """Announce a topic from now on; returns the operation that has it held.

        Raises `ValueError` when there is neither an address nor a relay, or too much of them.
        """
        if not addresses and not relays:
            raise ValueError("an announcement has an address or a relay")
        waits = [RelayAddress(key, canonical(address)) for key, address in relays]
        chosen = fitting([canonical(address) for address in addresses], waits)
        self.publications.put(topic, chosen, now, waits)
        return self._publish(topic, now, unix)

    def withdraw(self, topic: bytes, now: float, unix: float) -> Publish:
        """Announce a topic no more; returns the operation that tells those who hold it."""
        self.publications.drop(topic)
        return self._publish(topic, now, unix)

    def storing(self, record: Announcement, now: float, prove: Prove | None = None) -> Publish:
        """Return the operation that has a record held, whoever has signed it."""
        return Publish(self._sender, self._runner.query(record.topic, now), record, prove)

    def due(self, now: float, unix: float) -> list[Publish]:
        """Return the operations that have announcements held anew."""
        return [self._publish(topic, now, unix) for topic in self.publications.due(now)]

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

    def _publish(self, topic: bytes, now: float, unix: float) -> Publish:
        record = self.publications.sign(topic, now, unix)
        self._store.put(record, "127.0.0.1", unix)
        return self.storing(record, now, self.prove())

    def _prove(self, contact: Contact, token: bytes, record: Announcement) -> tuple[bytes, bytes]:
        ticket = self._messenger.ticket(contact.address)
        signable = way_signable(contact.id, token, ticket, record.raw[-SIGNATURE_SIZE:])
        return ticket, self._key_pair.sign(signable)
