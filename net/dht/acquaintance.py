"""How a stranger becomes a contact: by proving its id, and by nothing else.

Whoever asks us something, or is named where we ask, is pinged if the table has room for it.
The answer must be signed with the key that its id is made of, over our challenge and our
address. Also here: whom to ping because nothing was heard of it, and where to look because
nobody is known there.

Invariant: only `proven` enters anybody into the table; at most `MAX_VERIFYING` newcomers that
came by themselves are pinged at a time. Specified in docs/spec/dht.md, section 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from feedlog.errors import DecodeError
from feedlog.keys import verify
from net.addresses import Address, pack_address
from net.dht.calls import Call
from net.dht.contacts import Contact
from net.dht.datagrams import Response, decode_body
from net.dht.exchange import Exchange
from net.dht.hashing import ID_SIZE, node_id, ping_signable
from net.dht.messages import Ping, Pong
from net.dht.routing import Table

MAX_VERIFYING = 32
"""Newcomers pinged at a time because they asked us something; the others may come by again."""

STALE_AFTER = 300.0
"""Seconds of silence after which a contact is pinged."""

MAX_CHECKED = 8
"""Contacts that are pinged at a time: a table of 150 is checked in the five minutes."""


class Acquaintance:
    """Fills and checks the table of one node."""

    def __init__(self, table: Table, exchange: Exchange, sender: bytes, rng: Random) -> None:
        self._table = table
        self._exchange = exchange
        self._sender = sender
        self._rng = rng
        self._verifying: dict[Address, bytes] = {}

    def __len__(self) -> int:
        return len(self._verifying)

    def came(self, sender: bytes, address: Address, now: float) -> None:
        """Meet somebody who has asked us something; `sender` is empty for one who hides."""
        if sender and len(self._verifying) < MAX_VERIFYING:
            self.consider(Contact(sender, address), now)

    def consider(self, contact: Contact, now: float) -> None:
        """Ping a newcomer that the table has room for."""
        if (
            len(contact.id) == ID_SIZE
            and contact.address not in self._verifying
            and self._table.wants(contact)
        ):
            self._verifying[contact.address] = contact.id
            self.ping(contact, now)

    def ping(self, contact: Contact, now: float) -> None:
        """Ask for the proof of an id."""
        self._exchange.ask(contact.address, Ping(self._sender), contact, now)

    def over(self, address: Address) -> None:
        """Note that a ping has ended, with an answer or without."""
        self._verifying.pop(address, None)

    def proven(self, call: Call, response: Response, now: float) -> tuple[Contact, bool]:
        """Enter who has answered a ping; tells whether it is new. Raises `DecodeError`."""
        pong = decode_body("ping", response)
        assert isinstance(pong, Pong), "the decoder of a ping's body makes nothing else"
        contact = Contact(node_id(pong.public_key), call.address)
        signable = ping_signable(call.message_id, pack_address(response.observed))
        if not verify(pong.public_key, signable, pong.signature):
            raise DecodeError("dht ping", 0, "the signature does not match")
        if contact.id == self._table.own_id:
            raise DecodeError("dht ping", 0, "we are asking ourselves")
        if call.contact is not None and contact.id != call.contact.id:
            raise DecodeError("dht ping", 0, "the key is not the one that the id was made of")
        known = self._table.get(contact.id) is not None
        self._table.add(contact, now)
        return contact, not known

    def check(self, now: float) -> None:
        """Ping the contacts that have been silent for longest, if that is long."""
        for entry in self._table.stalest(MAX_CHECKED):
            if entry.seen + STALE_AFTER <= now or entry.failures:
                self.ping(entry.contact, now)

    def somewhere(self, parts: Sequence[int]) -> bytes:
        """Return a random id in the first of some parts of the id space, see `thin_parts`."""
        shift = 8 * ID_SIZE - 1 - parts[0]
        prefix = (int.from_bytes(self._table.own_id, "big") >> shift) ^ 1
        target = (prefix << shift) | self._rng.getrandbits(shift)
        return target.to_bytes(ID_SIZE, "big")
