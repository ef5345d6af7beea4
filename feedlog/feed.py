"""A feed: a signed, append-only list of blocks, written here or replicated.

The writer appends, each batch under a new signed head. A replica grows by
applying proofs (`feedlog.apply`). Both are the same object on the same entries,
so that a replica serves whatever it holds. Specified in docs/spec/feed.md.

Invariant: every transaction leaves a feed whose latest head is signed and whose
stored nodes and blocks belong to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import overload

from feedlog import catalog, layout
from feedlog.apply import raise_conflict
from feedlog.archive import write_archive
from feedlog.audit import AuditReport, audit
from feedlog.draft import MAX_BLOCKS, Draft
from feedlog.encryption import OVERHEAD, BlockCipher
from feedlog.errors import BlockMissing, CorruptError, InvalidProof, NotWritable, StoreError
from feedlog.follow import Batch, follow
from feedlog.head import Head, sign
from feedlog.keys import KeyPair, encode_id
from feedlog.log import Entry, Log
from feedlog.manifest import Manifest
from feedlog.merkle import Roots
from feedlog.pending import Pending
from feedlog.proof_codec import MAX_BLOCK_SIZE, MAX_FORK, MAX_LENGTH
from feedlog.purge import PurgedStorage, purge
from feedlog.ranges import Ranges
from feedlog.replica import Replica
from feedlog.snapshot import Snapshot
from feedlog.staged import Staging
from feedlog.storage import Storage, Writer
from feedlog.user_data import UserData
from feedlog.view import READ_AHEAD

Block = bytes | bytearray | memoryview

_PLACES = 1 << layout.PLACE_BITS


@dataclass(slots=True)
class _Tail:
    """The end of a feed as this process last saw it; current while `entry` is the last one."""

    entry: Entry | None
    fork: int
    roots: Roots
    unnoted: int = 0
    """The length up to which appended blocks need no note that they are held."""
    commit: int | None = None
    """The commit that wrote this. As long as no other follows, all is known to be in order."""


class Feed(Replica):
    """One feed in a store. Made by `Store.feed`."""

    def __init__(
        self,
        storage: Storage,
        log: Log,
        key: bytes,
        *,
        manifest: Manifest | None,
        signers: tuple[KeyPair, ...],
        cipher: BlockCipher | None,
        staging: Staging,
        read_only: bool,
    ) -> None:
        super().__init__(
            storage,
            log,
            key,
            manifest=manifest,
            cipher=cipher,
            staging=staging,
            read_only=read_only,
        )
        self._signers = signers
        self._tail: _Tail | None = None
        self._base = log.number << layout.PLACE_BITS
        self.purged = False
        """Whether `purge` has removed the feed: everything raises `StoreError` then."""

    def __repr__(self) -> str:
        """Show the key and the length, which a feed that is closed or purged does not tell."""
        try:
            return f"<Feed {self.id} length={self.length} fork={self.fork}>"
        except StoreError:
            return f"<Feed {self.id} closed>"

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return one block, or a list for a slice; see `View`.

        A block whose record is here needs no look at the head: records past it
        are never stored. So the usual read is one look-up.
        """
        if isinstance(index, int) and 0 <= index < _PLACES - 1:
            if self._staging.batches:
                staged = self._waiting(index)
                if staged is not None:
                    return self._cipher.decrypt(index, staged) if self._cipher else staged
            key = (self._base | index + 1).to_bytes(layout.KEY_SIZE, "big")
            value = self._storage.get(key)
            if value is not None and self._cipher is None:
                block = layout.read_inline(value, index)
                if block is not None:
                    return block
        return super().__getitem__(index)

    # Writing.

    @property
    def writable(self) -> bool:
        """Whether enough of the signers' secret keys are here to sign a head."""
        return (
            not self._read_only
            and self.manifest is not None
            and len(self._signers) >= self.manifest.quorum
        )

    def append(self, block: Block) -> int:
        """Append one block and return its index; see `extend`."""
        return self.extend((block,)).start

    def extend(self, blocks: Iterable[Block]) -> range:
        """Append blocks under one signed head, all or none, and return their indexes.

        A block has 0 to `MAX_BLOCK_SIZE` bytes (`ValueError`). Raises `NotWritable`
        without the secret key, `ForkConflict` for a feed with contradicting heads,
        `StoreError` where the disk refuses; then nothing was appended.
        """
        plain = self._checked(blocks)
        with self._storage.write() as writer:
            manifest, tail = self._writing(writer)
            start = tail.roots.length
            if not plain:
                return range(start, start)
            if start + len(plain) > MAX_LENGTH:
                raise ValueError(f"a feed holds at most {MAX_LENGTH} blocks")
            stored = self._stored(plain, start, tail.fork)
            roots, unnoted = tail.roots.copy(), tail.unnoted
            run = roots.extend(stored)
            head = self._signed(manifest, roots, tail.fork)
            entry = self._log.append(writer, run, stored, head, roots.byte_length)
            if roots.length > unnoted:
                unnoted = self._log.have.appended(writer, start, roots.length)
            tail = self._tail = _Tail(entry, tail.fork, roots, unnoted)
        tail.commit = writer.committed
        self._changed()
        return range(start, roots.length)

    def draft(self, blocks: Iterable[Block]) -> Draft:
        """Prepare a batch for signers whose secret keys are elsewhere; see `Draft`.

        Nothing is changed: `commit` appends the batch once a quorum has signed it.
        Raises `ValueError` for blocks that `extend` would refuse, for none or more
        than 65,536, and for a feed whose manifest is not known.
        """
        if self.manifest is None:
            raise ValueError("the feed's manifest, which names its signers, is not known yet")
        plain = self._checked(blocks)
        if not 1 <= len(plain) <= MAX_BLOCKS:
            raise ValueError(f"a draft has 1 to {MAX_BLOCKS} blocks, not {len(plain)}")
        base = self.prove() if self.head else None
        start, fork = (base.length, base.fork) if base else (0, 0)
        if start + len(plain) > MAX_LENGTH:
            raise ValueError(f"a feed holds at most {MAX_LENGTH} blocks")
        return Draft(self.manifest, fork, base, self._stored(plain, start, fork))

    def commit(self, draft: Draft) -> range:
        """Append a draft that a quorum has signed, and return the indexes of its blocks.

        Raises `InvalidProof` where signatures are missing, or where the feed is no
        longer as the draft found it; then draw up another one.
        """
        if draft.key != self.key:
            raise ValueError(f"the draft is of the feed {encode_id(draft.key)}, not {self.id}")
        self._refuse_read_only()
        proof = draft.proof()
        with self._storage.write() as writer:
            head, _ = self._state(writer)
            base = draft.base_head
            found, expected = (
                (one.fork, one.length, one.tree_hash) if one else None for one in (head, base)
            )
            if found != expected:
                raise InvalidProof(
                    f"draft follows length {draft.start} of fork {draft.fork}; the feed has "
                    f"{head.length if head else 0} blocks of fork {head.fork if head else 0}"
                )
            self.apply(proof)
        return range(draft.start, draft.length)

    @contextmanager
    def transaction(self) -> Iterator[Pending]:
        """Read the feed and write it in one transaction, which nobody else writes in between.

        Yields the feed as the transaction sees it. What is appended inside the block
        is committed at its end, or not at all if an error leaves it.
        """
        self._refuse_read_only()
        self.flush()
        with self._storage.write() as writer:
            yield Pending(self.key, self._log, self.manifest, self._cipher, writer)

    def truncate(self, length: int) -> None:
        """Remove the blocks from `length` on, under a signed head of the next fork.

        Readers follow the fork when they see it. Raises as `extend` does, and
        `ValueError` for a length that the feed does not have.
        """
        self.flush()
        with self._storage.write() as writer:
            manifest, tail = self._writing(writer)
            if not 0 <= length <= tail.roots.length:
                raise ValueError(f"length {length} is not in 0..{tail.roots.length}")
            if tail.fork >= MAX_FORK:
                raise ValueError(f"a feed has at most {MAX_FORK} forks")
            roots = self._log.roots(writer, length, manifest.suite)
            self._log.truncate(writer, length)
            head = self._signed(manifest, roots, tail.fork + 1)
            writer.put(*self._log.head_entry(head, roots.byte_length))
        self._changed()

    def clear(self, start: int, stop: int) -> None:
        """Drop the data of the blocks [start, stop) and free their space.

        The tree stays whole: proofs of other blocks still work, and the blocks can
        be fetched again. Raises `ValueError` for a range that the feed does not have.
        """
        self._refuse_read_only()
        self.flush()
        with self._storage.write() as writer:
            catalog.require_feed(writer, self._log.number, self.key)
            head, _ = self._state(writer)
            length = head.length if head else 0
            if not 0 <= start <= stop <= length:
                raise ValueError(f"blocks {start}..{stop} are not in 0..{length}")
            held = self._log.have.ranges(writer, length)
            self._log.clear(writer, Ranges([(start, stop)]).intersection(held))
        self._changed()

    def _checked(self, blocks: Iterable[Block]) -> list[bytes]:
        """Return the blocks as bytes, or raise for one that cannot be stored."""
        plain = [block if type(block) is bytes else _copied(block) for block in blocks]
        limit = MAX_BLOCK_SIZE - (OVERHEAD if self._cipher else 0)
        largest = max(map(len, plain), default=0)
        if largest > limit:
            raise ValueError(f"a block has at most {limit} bytes, not {largest}")
        return plain

    def _stored(self, plain: list[bytes], start: int, fork: int) -> list[bytes]:
        """Return blocks as they are stored from `start` on."""
        cipher = self._cipher
        if cipher is None:
            return plain
        return [cipher.encrypt(at, fork, block) for at, block in enumerate(plain, start)]

    def _writing(self, writer: Writer) -> tuple[Manifest, _Tail]:
        """Return the end of the feed for a change by its writer."""
        manifest, tail = self.manifest, self._tail
        if manifest and tail and tail.commit is not None and tail.commit == writer.base:
            return manifest, tail
        self._refuse_read_only()
        if manifest is None or not self.writable:
            needed = (
                f"{manifest.quorum} of its signers' secret keys" if manifest else "its manifest"
            )
            raise NotWritable(f"feed {self.id} cannot be written here: {needed} would be needed")
        catalog.require_feed(writer, self._log.number, self.key)
        entry = self._log.last_entry(writer)
        if tail is None or tail.entry != entry:
            head = self._log.decode_head(entry)[0] if entry else None
            length, fork = (head.length, head.fork) if head else (0, 0)
            tail = _Tail(entry, fork, self._log.roots(writer, length, manifest.suite))
        tail.unnoted = 0
        raise_conflict(writer, self._log.number, tail.fork)
        return manifest, tail

    def _signed(self, manifest: Manifest, roots: Roots, fork: int) -> Head:
        """Return the head of the roots, signed."""
        tree_hash = roots.tree_hash()
        signatures = sign(
            self.key,
            manifest,
            self._signers[: manifest.quorum],
            fork=fork,
            length=roots.length,
            tree_hash=tree_hash,
        )
        return Head(fork, roots.length, tree_hash, signatures)

    # Views of other states.

    def snapshot(self, length: int | None = None) -> Snapshot:
        """Return a view of the first `length` blocks that later changes do not touch.

        Raises `ValueError` past the end. Close it when done: it keeps the store
        from reusing freed space.
        """
        if self.manifest is None:
            self._latest()
        return Snapshot(
            self.key,
            self._log,
            self.manifest,
            self._cipher,
            transaction=self._reading(),
            length=length,
        )

    def export(self, path: str | Path) -> None:
        """Write the heads and the blocks that are held to one file, which anyone can verify.

        `Store.import_feed` reads it. The file takes its place when it is complete;
        one that was there is replaced. Raises `ValueError` for a feed without a head,
        `OSError` where the file cannot be written.
        """
        with self._reading() as reader:
            head, _ = self._state(reader)
            if head is None or self.manifest is None:
                raise ValueError("nothing of this feed is known yet, so there is nothing to export")
            write_archive(Path(path), reader, self._log, self.key, self.manifest)

    def follow(self, start: int = 0, *, wait: Callable[[], object]) -> Iterator[bytes]:
        """Yield the blocks from `start` on, those that are appended later as well.

        Where there are no more, calls `wait` and looks again: `partial(event.wait,
        0.1)` or `partial(time.sleep, 0.1)` look ten times a second, also for what
        other processes append. Ends when `wait` returns a true value, as that of a
        set event, and when the feed is truncated: what was yielded may be gone.
        Raises `ValueError` for a negative start, `BlockMissing` at a block that is
        not held; then follow from there again when it is.
        """
        if start < 0:
            raise ValueError(f"blocks are followed from 0 or later on, not from {start}")
        return follow(self._batch, start, wait)

    def _batch(self, start: int) -> Batch:
        """Return the fork and some blocks from `start` on, up to one that is not held."""
        with self._reading() as reader:
            head, _ = self._state(reader)
            if head is None:
                return None, []
            blocks: list[bytes] = []
            for index in range(start, min(start + READ_AHEAD, head.length)):
                try:
                    blocks.append(self._block(reader, index))
                except BlockMissing:
                    if not blocks:
                        raise
                    break
            return head.fork, blocks

    def purge(self) -> None:
        """Remove the feed from the store: blocks, heads, user data, evidence and its name.

        This object is dead then, and every use of it raises `StoreError`. A feed of
        the same name or key that is made later is a new and empty one.
        """
        self._refuse_read_only()
        self._staging.forget()
        purge(self._storage, self._log, self.key)
        self.purged = True
        self._storage = PurgedStorage(self.id)
        self._changed()

    @property
    def user_data(self) -> UserData:
        """A mapping of this store's own notes on the feed, which is not replicated."""
        return UserData(self._storage, self._log.number, self.key, read_only=self._read_only)

    def audit(self) -> AuditReport:
        """Compute everything anew from the stored blocks, and report the first fault.

        Covers the store's pages, leaves, nodes, heads with their signatures, held blocks
        and evidence. Takes the time of reading the store and of hashing what is held; the
        memory does not grow with it.
        """
        try:
            self._storage.check_pages()
        except CorruptError as fault:
            return AuditReport(fault=fault)
        with self._reading() as reader:
            try:
                self._learn_manifest(reader)
            except CorruptError as fault:
                return AuditReport(fault=fault)
            return audit(reader, self._log, self.key, self.manifest)

    def open(self, *, on_close: Callable[[], None] = lambda: None) -> BufferedReader:
        """Return the feed's bytes as a file; see `View.open`.

        The file reads a snapshot, which it closes when it is closed: its bytes stay
        the same whatever happens to the feed.
        """
        snapshot = self.snapshot()

        def close() -> None:
            snapshot.close()
            on_close()

        return snapshot.open(on_close=close)


def _copied(block: Block) -> bytes:
    if not isinstance(block, bytes | bytearray | memoryview):
        raise TypeError(f"a block is bytes, not {type(block).__name__}")
    return bytes(block)
