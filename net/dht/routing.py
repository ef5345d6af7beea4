"""The routing table: kademlia's buckets, repaired, and bounded by area.

`kademlia.routing` brings the buckets, their order by age, their replacement caches and
their splitting (Maymounkov and Mazieres 2002, section 2.2 and 4.1). What it does wrong is
done here instead: which bucket an id belongs to (its ranges are inclusive), which
contacts are nearest (all are compared), what happens when a bucket is full (nothing is
sent from inside a table), and reading the clock (`now` is passed in).

Invariant: every contact has proven its id and its address before `add`, none has failed
`MAX_FAILURES` times in a row, and no area fills the table.
Specified in docs/spec/dht.md, section 8; docs/adr/0004-kademlia.md says why so.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

from kademlia.node import Node  # type: ignore[import-untyped]  # it has no annotations
from kademlia.routing import RoutingTable  # type: ignore[import-untyped]  # it has no annotations

from net.addresses import Address, area
from net.dht.contacts import Contact

BUCKET_SIZE = 20
"""k of the paper; also the contacts of one answer."""

MAX_REPLACEMENTS = 5
"""Proven contacts that wait for a place in a full bucket."""

MAX_FAILURES = 2
"""Requests in a row without an answer after which a contact is dropped."""

MAX_DEPTH = 24
"""Parts of the id space that are explored; 2**24 nodes are more than there will be."""

THIN = 3
"""Contacts in a part of the id space below which it is explored."""

PER_AREA = 8
"""Contacts of one area (`net.addresses.area`) in the table, whatever ids they have."""


@dataclass(slots=True)
class Entry:
    """A contact of the table, with the attributes that kademlia's buckets ask for."""

    contact: Contact
    seen: float
    failures: int = 0
    id: bytes = field(init=False)
    long_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.contact.id
        self.long_id = int.from_bytes(self.id, "big")


class Bucket(Protocol):
    """What is used of `kademlia.routing.KBucket`."""

    range: tuple[int, int]
    nodes: OrderedDict[bytes, Entry]
    replacement_nodes: OrderedDict[bytes, Entry]

    def add_node(self, node: Entry) -> bool: ...
    def remove_node(self, node: Entry) -> None: ...


class _Buckets(RoutingTable):  # type: ignore[misc]  # kademlia has no annotations
    """Kademlia's table with the right bucket for an id on a boundary."""

    def flush(self) -> None:
        super().flush()
        self.buckets[0].range = (0, 2**160 - 1)  # it says 2**160, and so splits one id too late

    def get_bucket_for(self, node: Entry) -> int:
        for index, bucket in enumerate(self.buckets):
            if node.long_id <= bucket.range[1]:
                return index
        raise AssertionError(f"id {node.long_id:#x} lies outside the table")


class Table:
    """The contacts of one node."""

    def __init__(self, own_id: bytes) -> None:
        self.own_id = own_id
        self._buckets = _Buckets(None, BUCKET_SIZE, Node(own_id))

    def __len__(self) -> int:
        return sum(len(bucket.nodes) for bucket in self.buckets)

    def __iter__(self) -> Iterator[Entry]:
        for bucket in self.buckets:
            yield from bucket.nodes.values()

    def __contains__(self, node: bytes) -> bool:
        return self.get(node) is not None

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets in the order of the ids that they hold."""
        return cast("list[Bucket]", self._buckets.buckets)

    def bucket(self, node: bytes) -> Bucket:
        """Return the bucket in whose range an id lies."""
        probe = Entry(Contact(node, ("", 0)), 0.0)
        return self.buckets[self._buckets.get_bucket_for(probe)]

    def get(self, node: bytes) -> Entry | None:
        """Return the entry of an id, also one that waits as a replacement."""
        bucket = self.bucket(node)
        return bucket.nodes.get(node) or bucket.replacement_nodes.get(node)

    def wants(self, contact: Contact) -> bool:
        """Tell whether `add` would make use of a contact that is not in the table."""
        if contact.id == self.own_id or contact.id in self or not self._allowed(contact.address):
            return False
        bucket = self.bucket(contact.id)
        return (
            len(bucket.nodes) < BUCKET_SIZE
            or self._splits(bucket)
            or len(bucket.replacement_nodes) < MAX_REPLACEMENTS
            or any(entry.failures for entry in bucket.nodes.values())
        )

    def add(self, contact: Contact, now: float) -> bool:
        """Enter a contact that has just proven its id; tells whether the table holds it now."""
        entry = self.get(contact.id)
        if entry is not None and entry.contact.address == contact.address:
            self.seen(contact, now)
            return True
        if entry is not None:
            self._remove(entry)  # the owner of the key has moved
        if not self.wants(contact):
            return False
        fresh = Entry(contact, now)
        bucket = self.bucket(contact.id)
        while len(bucket.nodes) >= BUCKET_SIZE and self._splits(bucket):
            self._split(bucket)
            bucket = self.bucket(contact.id)
        if bucket.add_node(fresh):
            return True
        failing = next((e for e in bucket.nodes.values() if e.failures), None)
        if failing is not None:
            bucket.remove_node(failing)  # promotes the newest replacement, which is `fresh`
        while len(bucket.replacement_nodes) > MAX_REPLACEMENTS:
            bucket.replacement_nodes.popitem(last=False)
        return contact.id in bucket.nodes or contact.id in bucket.replacement_nodes

    def seen(self, contact: Contact, now: float) -> None:
        """Note that a contact has answered."""
        entry = self.get(contact.id)
        if entry is not None and entry.contact.address == contact.address:
            entry.seen, entry.failures = now, 0
            nodes = self.bucket(contact.id).nodes
            if contact.id in nodes:
                nodes.move_to_end(contact.id)

    def failed(self, contact: Contact) -> None:
        """Note that a contact has not answered; drops it after `MAX_FAILURES`."""
        entry = self.get(contact.id)
        if entry is None or entry.contact.address != contact.address:
            return
        entry.failures += 1
        if entry.failures >= MAX_FAILURES:
            self._remove(entry)

    def forget(self, contact: Contact) -> None:
        """Drop a contact that is not where it was."""
        entry = self.get(contact.id)
        if entry is not None and entry.contact.address == contact.address:
            self._remove(entry)

    def near(self, target: bytes, limit: int = BUCKET_SIZE, *, sure: bool = False) -> list[Contact]:
        """Return the contacts that are truly the closest to an id, nearest first.

        `sure` leaves out those that have not answered lately: what is good to name to others.
        """
        point = int.from_bytes(target, "big")
        entries = (entry for entry in self if not (sure and entry.failures))
        closest = heapq.nsmallest(limit, entries, key=lambda entry: entry.long_id ^ point)
        return [entry.contact for entry in closest]

    def thin_parts(self) -> list[int]:
        """Return the parts of the id space in which we know few, down to our nearest contact's.

        Part d are the ids that share d leading bits with ours and differ in the next.
        """
        own, bits = int.from_bytes(self.own_id, "big"), 8 * len(self.own_id)
        known = Counter(bits - (entry.long_id ^ own).bit_length() for entry in self)
        deepest = min(MAX_DEPTH, max(known, default=0))
        return [part for part in range(deepest + 1) if known[part] < THIN]

    def stalest(self, limit: int = 1) -> list[Entry]:
        """Return the contacts that have been silent for longest."""
        return heapq.nsmallest(limit, self, key=lambda entry: entry.seen)

    def _allowed(self, address: Address) -> bool:
        place = area(address)
        return place is None or (
            sum(area(entry.contact.address) == place for entry in self._everyone()) < PER_AREA
        )

    def _everyone(self) -> Iterator[Entry]:
        for bucket in self.buckets:
            yield from bucket.nodes.values()
            yield from bucket.replacement_nodes.values()

    def _splits(self, bucket: Bucket) -> bool:
        low, high = bucket.range
        return low <= int.from_bytes(self.own_id, "big") <= high and low < high

    def _split(self, bucket: Bucket) -> None:
        self._buckets.split_bucket(self.buckets.index(bucket))

    def _remove(self, entry: Entry) -> None:
        self._buckets.remove_contact(entry)
