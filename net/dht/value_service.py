"""Values of this node's user: published, renewed, looked for.

Invariant: what is put is also held here, so that one node alone is a network, too.
Must not know datagrams. Specified in docs/spec/dht.md, section 11.
"""

from __future__ import annotations

from random import Random

from feedlog.keys import KeyPair
from net.dht.hashing import value_topic
from net.dht.kept_values import KeptValues
from net.dht.messages import Code
from net.dht.runner import Runner
from net.dht.storage import RecordStore
from net.dht.value_operations import Get, Put
from net.dht.value_records import Value


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
        value = self._kept.sign(
            key_pair or self._key_pair, content, salt, seq, now, unix, keep=keep
        )
        self._store.put(value, "127.0.0.1", unix)
        return self._put(value, cas, now)

    def get(
        self, public_key: bytes, salt: bytes, now: float, unix: float
    ) -> tuple[Get, Value | None]:
        """Return the operation that looks for a value, and the one that is held here."""
        topic = value_topic(public_key, salt)
        get = Get(self._sender, self._runner.query(topic, now))
        held = next(iter(self._store.sample(topic, unix, 1, self._rng)), None)
        return get, held if held is not None and get.adopt(held, unix) else None

    def concluded(self, put: Put, now: float) -> None:
        """Note how many hold a value."""
        refused = bool(put.refusals[Code.STALE] or put.refusals[Code.CONFLICT])
        self._kept.held(put.value, put.stored, refused, now)

    def due(self, now: float, unix: float) -> list[Put]:
        """Return the operations that have values held anew."""
        renewed = self._kept.due(now, unix)
        for value in renewed:
            self._store.put(value, "127.0.0.1", unix)
        return [self._put(value, None, now) for value in renewed]

    def _put(self, value: Value, cas: int | None, now: float) -> Put:
        query, patience = self._runner.query(value.topic, now), self._runner.patience
        return Put(self._sender, query, value, cas, patience=patience)
