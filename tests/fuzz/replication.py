"""Conversations about a feed, made from any bytes: what the fuzzers run.

A writer and a sparse replica each talk with a peer that says what the bytes say: messages of
their own making, recorded ones, recorded ones with some bytes changed. Whatever that is, the
peer is let go with a `PeerError` at worst, and nothing wrong is stored. Knows no fuzzer.
"""

from __future__ import annotations

import io

from feedlog import Feed, Store
from net.errors import PeerError
from net.replicate.core import Replication
from net.replicate.serving import MAX_WAITING
from net.replicate.session import Query, Session
from net.replicate.storing import store_proofs
from tests.reference.world import Host, Wire, World

BLOCKS = [b"block %d" % i * 20 for i in range(64)]
HELD = range(8, 24)
"""What the replica has before each conversation."""
MAX_STEPS = 64
MAX_DRAINED = 256
"""Messages that one side may have to say after one step: more would be a loop."""


class Side:
    """One replica and its session with the peer."""

    def __init__(self, store: Store, feed: Feed, *, following: bool) -> None:
        self.store = store
        self.feed = feed
        self.core = Replication(feed, following=following)
        self.session: Session | None = self.core.open(0.0, "peer")
        if following:
            self.core.wants.add([(0, len(BLOCKS))])
            self.core.query(Query(seek=500), 0.0)

    def take(self, message: bytes, now: float) -> None:
        """Receive a message; a peer that breaks a rule is let go."""
        if self.session is None:
            return
        try:
            self.core.receive(self.session, message, now)
            while arrivals := self.core.take_arrivals(1 << 20):
                proofs = [arrival.proof for arrival in arrivals]
                outcomes = store_proofs(self.feed, proofs, self.store.transaction)
                for arrival, outcome in zip(arrivals, outcomes, strict=True):
                    self.core.stored(arrival, outcome, now)
            self.talk(now)
        except PeerError:
            self.core.close(self.session, now)
            self.session = None

    def talk(self, now: float) -> None:
        """Say what there is to say, and see that it ends."""
        self.core.pursue(now)
        while self.core.next_event() is not None:
            pass
        if self.session is not None and self.session in self.core.sessions:
            assert self.session.serving.waiting <= 2 * MAX_WAITING
            for _ in range(MAX_DRAINED):
                if self.core.next_message(self.session) is None:
                    return
            raise AssertionError(f"more than {MAX_DRAINED} messages after one of the peer's")


class Conversations:
    """A writer, a replica and a recording, used again for each conversation."""

    def __init__(self) -> None:
        self.writer_store, self.store = Store.memory(), Store.memory()
        self.writer = self.writer_store.feed("log")
        self.writer.extend(BLOCKS)
        self.replica = self.store.feed(key=self.writer.key)
        self.replica.apply(self.writer.prove(blocks=HELD))
        self.recorded = self._record()

    def _record(self) -> list[bytes]:
        """Return what an honest pair says while one downloads the other's feed."""
        world, store = World(), Store.memory()
        host = Host(world, store.feed(key=self.writer.key), store, following=True)
        host.core.wants.add([(0, len(BLOCKS))])
        host.core.query(Query(seek=1000), world.now)
        said: list[bytes] = []
        carry = world.carry

        def listen(wire: Wire, data: bytes) -> None:
            said.append(data)
            carry(wire, data)

        world.carry = listen  # type: ignore[method-assign]  # overheard, not changed
        world.connect(world.host(self.writer, self.writer_store), host)
        world.run()
        store.close()
        assert len(said) > 4
        return said

    def run(self, data: bytes) -> None:
        """Hold one conversation."""
        sides = (
            Side(self.writer_store, self.writer, following=False),
            Side(self.store, self.replica, following=True),
        )
        source, now = io.BytesIO(data), 0.0
        for _ in range(MAX_STEPS):
            step = source.read(1)
            if not step:
                break
            side, kind = sides[step[0] & 1], step[0] >> 1 & 3
            if kind == 3:
                now += step[0] >> 3
                side.core.handle_timeout(now)
                side.talk(now)
            else:
                side.take(self._message(kind, source), now)
        for index in (i for part in self.replica.have for i in part):
            assert self.replica[index] == BLOCKS[index]
        assert (self.writer.length, self.replica.length) == (len(BLOCKS), len(BLOCKS))
        self.replica.clear(0, HELD.start)
        self.replica.clear(HELD.stop, len(BLOCKS))

    def _message(self, kind: int, source: io.BytesIO) -> bytes:
        if kind == 0:
            return source.read(int.from_bytes(source.read(2), "little"))
        message = bytearray(self.recorded[int.from_bytes(source.read(1)) % len(self.recorded)])
        if kind == 2:
            for _ in range(1 + int.from_bytes(source.read(1)) % 4):
                place = int.from_bytes(source.read(2), "little") % len(message)
                message[place : place + 1] = source.read(1)
                if not message:
                    break
        return bytes(message)

    def seeds(self) -> list[bytes]:
        """Return conversations that replay what was recorded, to the one side and to the other."""
        return [bytes([2 | side, n]) for n in range(len(self.recorded)) for side in (0, 1)]

    def close(self) -> None:
        """Let go of the stores."""
        self.writer_store.close()
        self.store.close()
