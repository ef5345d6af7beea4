"""What a node answers to others out of its own memory, bounded in work and in bytes.

Invariant: an answer, together with the ping that a newcomer gets, is at most three times
its request, so that nobody can use a node to send more at a forged address than they
spend themselves. A record is held only for someone who receives at the address that it
writes from, and only after its signature was checked.
Specified in docs/spec/dht.md, sections 5 to 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from feedlog.errors import DecodeError
from feedlog.keys import SIGNATURE_SIZE, KeyPair, verify
from net.addresses import Address, family, pack_address, reach
from net.dht.codes import Code
from net.dht.contacts import MAX_NODES
from net.dht.datagrams import Request, answer_budget, encode_found, encode_response
from net.dht.hashing import TOKEN_SIZE, node_id, ping_signable, way_signable
from net.dht.limits import RateLimit
from net.dht.messages import MAX_DATAGRAM, MAX_RECORDS, Announce, Fetch, Lookup, Pong, Store
from net.dht.records import Announcement, parse_announcement
from net.dht.routing import Table
from net.dht.storage import RecordStore, Way
from net.dht.tokens import Tokens
from net.dht.value_records import VALUE_LIFETIME, Value, parse_value

PONG_SIZE = 152
"""The largest answer to a ping, with an IPv6 address in it."""

MAX_VALUES = 4096
"""About 5 MB of values and their bookkeeping."""

VALUES_PER_HOST = 512


class Responder:
    """Answers requests from the table and the store of one node."""

    def __init__(
        self,
        node_key: KeyPair,
        table: Table,
        secret: bytes,
        rng: Random,
        *,
        largest: int = MAX_DATAGRAM,
    ) -> None:
        self.store: RecordStore[Announcement] = RecordStore()
        self.values: RecordStore[Value] = RecordStore(
            total=MAX_VALUES, per_topic=1, per_host=VALUES_PER_HOST, lifetime=VALUE_LIFETIME
        )
        self._id = node_id(node_key.public_key)
        self._node_key = node_key
        self._table = table
        self._tokens = Tokens(secret)
        self._rng = rng
        self._rate = RateLimit()
        self._largest = largest

    def answer(
        self, request: Request, size: int, address: Address, now: float, unix: float
    ) -> tuple[bytes | None, Code]:
        """Return the datagram to send back, None if it would be too large, and what it says."""
        arguments, code = request.arguments, Code.OK
        budget = min(self._largest, answer_budget(size))
        answer: bytes | None
        if not self.allow(address, now):
            code = Code.BUSY
            answer = encode_response(request.message_id, address, None, code)
        elif isinstance(arguments, Lookup):
            drawn = self.store.sample(arguments.topic, unix, MAX_RECORDS, self._rng)
            records = [record.raw for record in drawn]
            answer = self._found(request.message_id, arguments, records, budget, address, now)
        elif isinstance(arguments, Fetch):
            held = self.values.sample(arguments.topic, unix, 1, self._rng)
            records = [value.raw for value in held]
            answer = self._found(request.message_id, arguments, records, budget, address, now)
        elif isinstance(arguments, Announce | Store):
            if isinstance(arguments, Announce):
                code = self._announce(arguments, address, now, unix)
            else:
                code = self._hold(arguments, address, now, unix)
            answer = encode_response(request.message_id, address, None, code)
        else:
            answer = self._pong(request.message_id, budget, address)
        return (answer if answer is not None and len(answer) <= budget else None), code

    def proven(self, token: bytes, address: Address, now: float) -> bool:
        """Tell whether a token shows that the sender receives at its address."""
        return self._tokens.check(token, address, now)

    def allow(self, address: Address, now: float) -> bool:
        """Take a request into account; tells whether its area is within the limit."""
        return self._rate.allow(address, now)

    def _pong(self, message_id: bytes, budget: int, address: Address) -> bytes | None:
        if budget < PONG_SIZE:
            return None  # before the work of signing
        signable = ping_signable(message_id, pack_address(address))
        pong = Pong(self._node_key.public_key, self._node_key.sign(signable))
        return encode_response(message_id, address, pong)

    def _found(
        self,
        message_id: bytes,
        asked: Lookup | Fetch,
        records: Sequence[bytes],
        budget: int,
        address: Address,
        now: float,
    ) -> bytes | None:
        version, far = family(address), reach(address[0])
        contacts = [
            contact
            for contact in self._table.near(asked.topic, 2 * MAX_NODES, sure=True)
            if contact.id != asked.sender
            and family(contact.address) == version
            and reach(contact.address[0]) >= far  # a stranger has no use for our LAN's addresses
        ]
        token = self._tokens.give(address, now)
        return encode_found(message_id, address, self._id, token, contacts, records, budget)

    def _announce(self, announce: Announce, address: Address, now: float, unix: float) -> Code:
        if not self.proven(announce.token, address, now):
            return Code.TOKEN
        try:
            record = parse_announcement(announce.record)
        except DecodeError:
            return Code.RECORD
        way = None
        if announce.ticket:
            signature = record.raw[-SIGNATURE_SIZE:]
            signable = way_signable(self._id, announce.token, announce.ticket, signature)
            if len(announce.ticket) != TOKEN_SIZE or not verify(
                record.public_key, signable, announce.proof
            ):
                return Code.RECORD
            way = Way(address, announce.ticket)
        return self.store.put(record, address[0], unix, way)

    def _hold(self, store: Store, address: Address, now: float, unix: float) -> Code:
        if not self.proven(store.token, address, now):
            return Code.TOKEN
        try:
            value = parse_value(store.value)
        except DecodeError:
            return Code.RECORD
        held = self.values.seq(value.topic, value.public_key, unix)
        if store.cas is not None and held not in (None, store.cas, value.seq):
            return Code.CONFLICT
        return self.values.put(value, address[0], unix)
