"""The records that this node holds for others, bounded in number whoever sends them.

A topic holds the newest record of each announcer. When a topic, or the whole store,
is full, a newcomer takes the place of the record that expires first of the subnet that
holds most, provided that the newcomer's own subnet holds less: one owner of many
addresses can fill what is empty, but not push others out.

Invariant: no more than `TOTAL` records, `PER_TOPIC` in one topic, `PER_HOST` from one host,
and none is given out after its expiry or before a higher seq of the same announcer.
Specified in docs/spec/dht.md, section 7.

Must not know datagrams or tokens; `unix` is the time of day in Unix seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Generic, Protocol, Self, TypeVar

from net.addresses import Address, subnet
from net.dht.codes import Code
from net.dht.records import MAX_LIFETIME

TOTAL = 16_384
"""About 15 MB of records and their bookkeeping."""

PER_TOPIC = 64
"""Sixteen times what one answer carries; more would only make the draw wider."""

PER_HOST = 2_048
"""A host may announce a thousand feeds with two topics each, and no flood."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the announcer of a record is reached by the node that holds it."""

    address: Address
    """Where the announcement came from, as a token has proven."""
    ticket: bytes


class Kept(Protocol):
    """What a store has to know of what it holds: an `Announcement` or a `Value`."""

    @property
    def topic(self) -> bytes: ...
    @property
    def public_key(self) -> bytes: ...
    @property
    def seq(self) -> int: ...
    @property
    def expiry(self) -> int: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def withdrawn(self) -> bool: ...
    def renews(self, other: Self, /) -> bool: ...


R = TypeVar("R", bound=Kept)


@dataclass(frozen=True, slots=True)
class _Held(Generic[R]):
    record: R
    host: str
    way: Way | None


class RecordStore(Generic[R]):
    """Holds records by topic and owner."""

    def __init__(
        self,
        *,
        total: int = TOTAL,
        per_topic: int = PER_TOPIC,
        per_host: int = PER_HOST,
        lifetime: int = MAX_LIFETIME,
    ) -> None:
        self._limits = total, per_topic, per_host
        self._lifetime = lifetime
        self._topics: dict[bytes, dict[bytes, _Held[R]]] = {}
        self._subnets: dict[bytes, dict[tuple[bytes, bytes], _Held[R]]] = {}
        self._hosts: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, record: R, host: str, unix: float, way: Way | None = None) -> Code:
        """Hold a verified record that `host` brought; tells why not otherwise.

        `way` is for an announcer that takes introductions.
        """
        if not unix < record.expiry <= unix + self._lifetime:
            return Code.EXPIRY
        held = self._topics.get(record.topic, {}).get(record.public_key)
        if held is not None:
            if record.raw == held.record.raw:
                if way is not None:
                    self._remove(held)
                    self._add(_Held(record, host, way))
                return Code.OK  # a repetition, because our first answer was lost
            if held.record.renews(record):
                return Code.OK  # as if the two had come in the order in which they were signed
            renewed = record.renews(held.record)
            if record.seq <= held.record.seq and held.record.expiry > unix and not renewed:
                return Code.STALE if record.seq < held.record.seq else Code.RIVAL
            self._remove(held)
        if not self._make_room(record.topic, host, unix):
            if held is not None:
                self._add(held)
            return Code.FULL
        self._add(_Held(record, host, way))
        return Code.OK

    def sample(self, topic: bytes, unix: float, limit: int, rng: Random) -> list[R]:
        """Return at most `limit` live records of a topic, drawn at random."""
        held = self._topics.get(topic)
        if not held:
            return []
        live = [
            h.record for h in held.values() if h.record.expiry > unix and not h.record.withdrawn
        ]
        return rng.sample(live, min(limit, len(live)))

    def way(self, topic: bytes, public_key: bytes, unix: float) -> Way | None:
        """Return how the announcer of a topic is reached, if it takes introductions."""
        held = self._live(topic, public_key, unix)
        return None if held is None else held.way

    def seq(self, topic: bytes, public_key: bytes, unix: float) -> int | None:
        """Return the number of what is held of an owner under a topic."""
        held = self._live(topic, public_key, unix)
        return None if held is None else held.record.seq

    def holds(self, topic: bytes, public_key: bytes, unix: float) -> bool:
        """Tell whether somebody's announcement of a topic is held."""
        return self._live(topic, public_key, unix) is not None

    def expire(self, unix: float) -> None:
        """Forget what has expired."""
        gone = [
            held
            for topic in self._topics.values()
            for held in topic.values()
            if held.record.expiry <= unix
        ]
        for held in gone:
            self._remove(held)

    def _live(self, topic: bytes, public_key: bytes, unix: float) -> _Held[R] | None:
        held = self._topics.get(topic, {}).get(public_key)
        if held is None or held.record.expiry <= unix or held.record.withdrawn:
            return None
        return held

    def _make_room(self, topic: bytes, host: str, unix: float) -> bool:
        total, per_topic, per_host = self._limits
        if self._count >= total or len(self._topics.get(topic, ())) >= per_topic:
            self.expire(unix)
        if self._hosts[host] >= per_host:
            return False
        in_topic = self._topics.get(topic, {})
        if len(in_topic) >= per_topic:
            shares: dict[bytes, list[_Held[R]]] = {}
            for held in in_topic.values():
                shares.setdefault(subnet(held.host), []).append(held)
            return self._displace({net: len(share) for net, share in shares.items()}, host, shares)
        if self._count >= total:
            counts = {net: len(share) for net, share in self._subnets.items()}
            greediest = max(counts, key=counts.__getitem__)
            oldest = next(iter(self._subnets[greediest].values()))
            return self._displace(counts, host, {greediest: [oldest]})
        return True

    def _displace(
        self, counts: dict[bytes, int], host: str, shares: dict[bytes, list[_Held[R]]]
    ) -> bool:
        """Remove a record of the subnet that holds most, if that makes shares more equal."""
        greediest = max(counts, key=counts.__getitem__)
        if counts[greediest] <= counts.get(subnet(host), 0) + 1:
            return False  # equal already: who came first stays
        self._remove(min(shares[greediest], key=lambda held: held.record.expiry))
        return True

    def _add(self, held: _Held[R]) -> None:
        key = held.record.topic, held.record.public_key
        self._topics.setdefault(key[0], {})[key[1]] = held
        self._subnets.setdefault(subnet(held.host), {})[key] = held
        self._hosts[held.host] += 1
        self._count += 1

    def _remove(self, held: _Held[R]) -> None:
        key, net = (held.record.topic, held.record.public_key), subnet(held.host)
        del self._topics[key[0]][key[1]]
        if not self._topics[key[0]]:
            del self._topics[key[0]]
        del self._subnets[net][key]
        if not self._subnets[net]:
            del self._subnets[net]
        self._hosts[held.host] -= 1
        if not self._hosts[held.host]:
            del self._hosts[held.host]
        self._count -= 1
