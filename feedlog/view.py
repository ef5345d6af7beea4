"""Reading a feed: as a list of blocks, by bytes, and as proofs.

`Feed` reads the live store through this, a `Snapshot` one fixed state of it.
Every read happens in one transaction and so sees one head; negative indexes and
slices count from that head's length.

Knows how to read. Must not change anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from io import BufferedReader
from typing import overload

from feedlog import flat_tree, hashing
from feedlog.byte_file import ByteReader, open_file
from feedlog.encryption import OVERHEAD, BlockCipher
from feedlog.errors import BlockMissing, StoreError
from feedlog.flat_tree import NodeIndex
from feedlog.head import Head
from feedlog.keys import encode_id
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.plan import Question
from feedlog.proof import Proof, build
from feedlog.proof_codec import MAX_LENGTH, MAX_PROOF_BLOCKS, MAX_RANGES
from feedlog.ranges import Ranges
from feedlog.storage import Reader

READ_AHEAD = 64
"""Blocks that iteration reads in one transaction."""


class View(ABC):
    """What can be read of a feed; behaves as a list of blocks."""

    def __init__(
        self, key: bytes, log: Log, manifest: Manifest | None, cipher: BlockCipher | None
    ) -> None:
        self.key = key
        """The feed's public key, 32 bytes: the hash of its manifest."""
        self.manifest = manifest
        """Signers, quorum and hash suite; None until the first proof of a replica brings it."""
        self._log = log
        self._cipher = cipher

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Reader]:
        """Open the state that this view reads."""

    def _proving(self) -> AbstractContextManager[Reader]:
        """Open the state for what needs no block that waits to be stored, or asks for it."""
        return self._reading()

    @abstractmethod
    def _state(self, reader: Reader) -> tuple[Head | None, int]:
        """Return the head of that state and its byte length."""

    # Facts.

    @property
    def id(self) -> str:
        """The key as people write it: 52 characters of z-base-32."""
        return encode_id(self.key)

    @property
    def discovery_key(self) -> bytes:
        """The 32 bytes under which the feed is announced; they do not give away the key."""
        return hashing.discovery_key(self.key)

    @property
    def head(self) -> Head | None:
        """The signed head; None where nothing is known, or where a snapshot's length has none."""
        head = self._latest()
        return head if head and head.signatures else None

    def _latest(self) -> Head | None:
        with self._reading() as reader:
            return self._state(reader)[0]

    @property
    def length(self) -> int:
        """Blocks in the feed, held or not."""
        head = self._latest()
        return head.length if head else 0

    @property
    def byte_length(self) -> int:
        """Bytes in all blocks of the feed, as stored: with their encryption, if any."""
        with self._proving() as reader:
            return self._state(reader)[1]

    @property
    def fork(self) -> int:
        """How often the feed was truncated."""
        head = self._latest()
        return head.fork if head else 0

    def root_hash(self, length: int | None = None) -> bytes:
        """Return the tree hash (32 bytes) of the first `length` blocks; all by default.

        Raises `ValueError` past the end, `BlockMissing` where a replica lacks a root.
        """
        with self._reading() as reader:
            head, _ = self._state(reader)
            length = self._checked_length(head, length)
            if self.manifest is None:
                return hashing.BLAKE3.tree([])
            return self._log.roots(reader, length, self.manifest.suite).tree_hash()

    def heads(self) -> list[Head]:
        """Return every signed head that is kept, one for each batch, oldest first."""
        with self._proving() as reader:
            head, _ = self._state(reader)
            return [one for one in self._log.heads(reader) if head and one.length <= head.length]

    # The list of blocks.

    def __len__(self) -> int:
        """Return `length`."""
        return self.length

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return one block, or a list for a slice.

        Raises `IndexError` past the end and `BlockMissing` for a block that is not held.
        """
        several = isinstance(index, slice) or index < 0
        with self._reading() if several else self._proving() as reader:
            head, _ = self._state(reader)
            length = head.length if head else 0
            if isinstance(index, slice):
                return [self._block(reader, i) for i in range(*index.indices(length))]
            return self._block(reader, _checked_index(index, length))

    def _block(self, reader: Reader, index: int) -> bytes:
        block = self._log.block(reader, index)
        if block is None:
            raise BlockMissing(index)
        return self._cipher.decrypt(index, block) if self._cipher else block

    def __iter__(self) -> Iterator[bytes]:
        """Yield all blocks up to the length at the time of reading."""
        at = 0
        while blocks := self[at : at + READ_AHEAD]:
            yield from blocks
            at += len(blocks)

    def has(self, index: int, stop: int | None = None) -> bool:
        """Tell whether a block, or all blocks of [index, stop), are held."""
        if stop is None:
            with self._reading() as reader:
                head, _ = self._state(reader)
                index = index + head.length if index < 0 and head else index
                if not (head and 0 <= index < head.length):
                    return False
                record = self._log.record(reader, index)
            return record is not None and record.held
        return self._have().covers(index, stop) if index < stop else True

    @property
    def have(self) -> list[range]:
        """The blocks that are held, as ascending ranges."""
        return [range(start, stop) for start, stop in self._have().pairs]

    def _have(self) -> Ranges:
        with self._reading() as reader:
            head, _ = self._state(reader)
            return self._log.have.ranges(reader, head.length if head else 0)

    # Bytes.

    def seek(self, byte_offset: int) -> tuple[int, int]:
        """Return the block that holds a byte of the feed, and the offset inside that block.

        Counts the bytes as stored. Raises `IndexError` past the end, `BlockMissing`
        where a replica lacks a node on the way.
        """
        with self._reading() as reader:
            head, byte_length = self._state(reader)
            if not 0 <= byte_offset < byte_length:
                raise IndexError(f"byte {byte_offset} is not in a feed of {byte_length} bytes")
            assert head is not None, "bytes without a head"
            return self._descend(reader, head.length, byte_offset)

    @property
    def size(self) -> int:
        """Bytes in all blocks as they are read: without their encryption, if the key is here."""
        with self._proving() as reader:
            head, byte_length = self._state(reader)
        return byte_length - self._overhead * (head.length if head else 0)

    def locate(self, offset: int) -> tuple[int, int]:
        """Return the block that holds a byte, and the offset inside it, counted as by `read`.

        Raises `IndexError` past the end; where a replica lacks a tree node on the way,
        `BlockMissing` with the index of that node.
        """
        with self._reading() as reader:
            head, byte_length = self._state(reader)
            size = byte_length - self._overhead * (head.length if head else 0)
            if not 0 <= offset < size:
                raise IndexError(f"byte {offset} is not in a feed of {size} bytes")
            assert head is not None, "bytes without a head"
            return self._descend(reader, head.length, offset, self._overhead)

    @property
    def _overhead(self) -> int:
        """Bytes of each block that a reader does not get."""
        return OVERHEAD if self._cipher else 0

    def _descend(
        self, reader: Reader, length: int, byte_offset: int, overhead: int = 0
    ) -> tuple[int, int]:
        """Find a byte among the first `length` blocks, `overhead` bytes of each not counted."""
        rest = byte_offset
        for root in flat_tree.roots(length):
            index: NodeIndex = root
            size = self._size(reader, index, overhead)
            if rest >= size:
                rest -= size
                continue
            while flat_tree.level(index):
                left, right = flat_tree.children(index)
                size = self._size(reader, left, overhead)
                index, rest = (left, rest) if rest < size else (right, rest - size)
            return index >> 1, rest
        raise StoreError(f"byte {byte_offset} is past the sizes that the tree's nodes state")

    def _size(self, reader: Reader, index: NodeIndex, overhead: int) -> int:
        start, stop = flat_tree.span(index)
        return self._log.nodes(reader, [index])[0][0] - overhead * (stop - start)

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes of the feed from `offset` on, or fewer where it ends before.

        Counts the bytes of the blocks as they are read: decrypted, where the feed is
        encrypted and its key is here. Raises `ValueError` for negative numbers,
        `BlockMissing` for a block, or a tree node on the way, that is not held.
        """
        if offset < 0 or length < 0:
            raise ValueError(f"bytes {offset}..{offset + length} are before the start of the feed")
        with self._reading() as reader:
            return self._byte_reader(lambda: nullcontext(reader)).read(offset, length)

    def open(self, *, on_close: Callable[[], None] = lambda: None) -> BufferedReader:
        """Return the feed's bytes as a file: seekable, read-only, of the length at this moment.

        Offsets count as for `read`, which says what reading raises. `on_close` is
        called when the file is closed.
        """
        return open_file(self._byte_reader(self._reading), on_close)

    def _byte_reader(self, reading: Callable[[], AbstractContextManager[Reader]]) -> ByteReader:
        with reading() as reader:
            head, byte_length = self._state(reader)
        length = head.length if head else 0
        overhead = self._overhead

        def locate(offset: int) -> tuple[int, int]:
            with reading() as reader:
                return self._descend(reader, length, offset, overhead)

        def block(index: int) -> bytes:
            with reading() as reader:
                return self._block(reader, index)

        return ByteReader(byte_length - overhead * length, locate, block)

    # Proofs.

    def prove(
        self,
        blocks: Iterable[int] = (),
        *,
        since: int = 0,
        seek: int | None = None,
        hashes: Iterable[int] = (),
        length: int | None = None,
        anchors: Iterable[int] = (),
        signed: bool = True,
        max_bytes: int | None = None,
    ) -> Proof:
        """Prove blocks, tree nodes and the head of `length` (the latest by default).

        `since` is a length whose roots the verifier trusts already, `anchors` tree
        nodes below them that it trusts too: both shorten the proof. `seek` adds the
        block with that byte. `signed=False` leaves out manifest and head, for a
        verifier whose trusted length is `length` itself. With `max_bytes`, blocks from
        the front are proven as long as they fit, and one in any case.

        Raises `ValueError` for numbers that make no proof, for more than 4096
        ranges or 65,536 blocks, `IndexError` for a block past the end,
        `BlockMissing` for a block or node that is not held.
        """
        if seek is not None and max_bytes is not None:
            raise ValueError("the block with the byte sought is proven, however large it is")
        with self._proving() as reader:
            latest, _ = self._state(reader)
            if latest is None or self.manifest is None:
                raise ValueError("nothing of this feed is known yet, so nothing can be proven")
            length = self._checked_length(latest, length)
            head = self._head_for(reader, latest, length) if signed else latest
            wanted = Ranges.of(blocks)
            if seek is not None:
                at, _ = self._descend_checked(reader, length, seek)
                wanted = Ranges([*wanted.pairs, (at, at + 1)])
            if wanted and wanted.pairs[0][0] < 0:
                raise IndexError(f"{wanted.pairs[0][0]} is not an index of a block to prove")
            if wanted.stop > length:
                raise IndexError(f"block {wanted.stop - 1} is past the length {length}")
            _check_bounds(wanted)
            wanted, data = self._gather(reader, wanted, max_bytes)
            question = Question(
                length=length,
                blocks=wanted,
                hashes=_ascending(hashes),
                since=since,
                anchors=_ascending(anchors),
                signed=signed,
            )
            question.check()
            return build(
                question,
                head.fork,
                read_nodes=partial(self._log.proof_nodes, reader, latest.fork),
                data=data,
                seek=seek,
                manifest=self.manifest if signed else None,
                signatures=head.signatures if signed else (),
            )

    def _gather(
        self, reader: Reader, wanted: Ranges, max_bytes: int | None
    ) -> tuple[Ranges, tuple[bytes, ...]]:
        """Read blocks from the front as long as they fit; return which, and their data."""
        if max_bytes is None:
            return wanted, tuple([self._raw(reader, index) for index in wanted])
        data: list[bytes] = []
        total = 0
        for index in wanted:
            block = self._raw(reader, index)
            total += len(block)
            if data and total > max_bytes:
                return wanted.intersection(Ranges([(0, index)])), tuple(data)
            data.append(block)
        return wanted, tuple(data)

    def _descend_checked(self, reader: Reader, length: int, seek: int) -> tuple[int, int]:
        assert self.manifest is not None, "checked by the caller"
        byte_length = self._log.roots(reader, length, self.manifest.suite).byte_length
        if not 0 <= seek < byte_length:
            raise IndexError(f"byte {seek} is not in a feed of {byte_length} bytes")
        return self._descend(reader, length, seek)

    def _head_for(self, reader: Reader, latest: Head, length: int) -> Head:
        if length == latest.length and latest.signatures:
            return latest
        found = self._log.head_at(reader, length)
        if found is None:
            raise ValueError(f"no head was signed, or is kept, for length {length}")
        return found[0]

    def _raw(self, reader: Reader, index: int) -> bytes:
        block = self._log.block(reader, index)
        if block is None:
            raise BlockMissing(index)
        return block

    def _checked_length(self, head: Head | None, length: int | None) -> int:
        latest = head.length if head else 0
        if length is None:
            return latest
        if not 0 <= length <= latest:
            raise ValueError(f"length {length} is not in 0..{latest}")
        return length


def _checked_index(index: int, length: int) -> int:
    at = index + length if index < 0 else index
    if not 0 <= at < length:
        raise IndexError(f"block {index} is past the end: the feed has {length} blocks")
    return at


def _check_bounds(wanted: Ranges) -> None:
    if len(wanted.pairs) > MAX_RANGES:
        raise ValueError(f"a proof has at most {MAX_RANGES} ranges, not {len(wanted.pairs)}")
    if len(wanted) > MAX_PROOF_BLOCKS:
        raise ValueError(f"a proof has at most {MAX_PROOF_BLOCKS} blocks, not {len(wanted)}")
    assert wanted.stop <= MAX_LENGTH, "longer than any feed"


def _ascending(nodes: Iterable[int]) -> tuple[NodeIndex, ...]:
    return tuple(map(NodeIndex, sorted(set(nodes)))) if nodes else ()
