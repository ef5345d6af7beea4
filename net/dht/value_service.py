"""Values of this node's user: published, renewed, looked for.

Invariant: what is put is also held here, so that one node alone is a network, too; and a put
that is given up leaves what is kept as it was. Must not know datagrams.
Specified in docs/spec/dht.md, section 11.
"""

from __future__ import annotations

from random import Random

from feedlog.keys import KeyPair
from net.dht.codes import OVERTAKEN
from net.dht.hashing import value_topic
from net.dht.kept_values import KeptValues
from net.dht.runner import Runner
from net.dht.storage import RecordStore
from net.dht.value_operations import Get, Put
from net.dht.value_records import Value, check_salt, check_seq


class ValueService:
    """Makes the operations, and keeps what is to be renewed."""

    def __init__(
        self,
        key_pair: KeyPair,
        store: RecordStore[Value],
        runner: Runner,
        sender: bytes,
        rng: Random,
    ) -> None:
        self._key_pair = key_pair
        self._store = store
        self._runner = runner
        self._sender = sender
        self._rng = rng
        self._kept = KeptValues(rng)
        self._putting: dict[Put, KeyPair | None] = {}
        """What our user has put and is not done; with the owner of what is to be kept."""

    def put(
        self,
        content: bytes,
        now: float,
        unix: float,
        *,
        key_pair: KeyPair | None,
        salt: bytes,
        seq: int | None,
        cas: int | None,
        keep: bool,
    ) -> Put:
        """Sign a value and return the operation that has it held."""
        if cas is not None:
            check_seq(cas)
        owner = key_pair or self._key_pair
        value = self._kept.sign(owner, content, salt, seq, unix)
        if keep:
            coming = [one.target for one, whose in self._putting.items() if whose is not None]
            self._kept.check_room([value.topic, *coming])
        put = self._put(value, cas, now)
        for known in (self._held(value.topic, unix), self._kept.get(value.topic)):
            if known is not None:
                put.newest.adopt(known, unix)
        for other in self._putting:
            if other.target == put.target:
                put.newest.adopt(other.value, unix)
        self._putting[put] = owner if keep else None
        return put

    def get(
        self, public_key: bytes, salt: bytes, now: float, unix: float
    ) -> tuple[Get, Value | None]:
        """Return the operation that looks for a value, and the one that is held here."""
        check_salt(salt)
        topic = value_topic(public_key, salt)
        get = Get(self._sender, self._runner.query(topic, now))
        held = self._held(topic, unix)
        return get, held if held is not None and get.newest.adopt(held, unix) else None

    def concluded(self, put: Put, now: float, unix: float) -> None:
        """Note how many hold a value; now it is held here, too, unless another one counts."""
        owner = self._putting.pop(put, None)
        if put.obstacle or any(put.refusals[code] for code in OVERTAKEN):
            self._kept.refused(put.value)
            return
        if owner is not None:
            self._kept.keep(owner, put.value, now, put.cas)
        self._kept.held(put.value, put.stored, now)
        self._store.put(put.value, "127.0.0.1", unix)

    def cancelled(self, put: Put) -> None:
        """Note that nobody wants a value put any more: it is not kept."""
        self._putting.pop(put, None)

    def hurry(self, now: float, *, held_too: bool = False) -> None:
        """Have what nobody holds, or everything that we keep, held anew at once."""
        self._kept.hurry(now, held_too=held_too)

    def due(self, now: float, unix: float) -> list[Put]:
        """Return the operations that have values held anew."""
        return [self._put(value, cas, now) for value, cas in self._kept.due(now, unix)]

    def _held(self, topic: bytes, unix: float) -> Value | None:
        return next(iter(self._store.sample(topic, unix, 1, self._rng)), None)

    def _put(self, value: Value, cas: int | None, now: float) -> Put:
        return Put(self._sender, self._runner.query(value.topic, now), value, cas)
