r"""One feed as one file: to carry on a stick, to keep, to hand to somebody without a network.

    offset 0    magic       16 bytes, "feedlog archive\n"
    16          version     u8 = 1
    17          feed key    32 bytes
    49          items       each u32le size, then an encoded proof of that size
    ..          end         u32le 0, u64le heads, u64le blocks

The proofs build on each other: first one for each signed head, oldest first, the first
of them standing alone and each other one since the length before it; then the blocks
held, against the last head. An import applies them in that order in one transaction,
so what an archive claims is verified as if it came from a stranger, and a file that is
torn or changed leaves nothing. Blocks are as stored: encrypted, if the feed is. Names,
secret keys, encryption keys, evidence and user data are not in it. Specified in
docs/spec/archive.md.

Knows proofs and files. Must not know how they are applied.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from feedlog.errors import CorruptError, DecodeError
from feedlog.head import Head
from feedlog.keys import KEY_SIZE
from feedlog.log import Log
from feedlog.manifest import Manifest
from feedlog.plan import Question
from feedlog.proof import Proof, build
from feedlog.proof_codec import MAX_BLOCK_SIZE, MAX_PROOF_BLOCKS, MAX_RANGES
from feedlog.ranges import Ranges
from feedlog.storage import Reader

MAGIC = b"feedlog archive\n"
VERSION = 1
MAX_ITEM_SIZE = MAX_BLOCK_SIZE + (1 << 20)
"""Bytes of one encoded proof: the largest block, and far more than what shows it."""
GROUP_SIZE = 1 << 20
"""Bytes of blocks that share a proof, unless one block alone is larger."""

assert len(MAGIC) == 16


def write_archive(path: Path, reader: Reader, log: Log, key: bytes, manifest: Manifest) -> None:
    """Write what is held of a feed to a file that is there whole or not at all.

    The file takes its place by a rename, after its bytes are on the disk. Raises
    `OSError` where the system refuses.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            _write(file, reader, log, key, manifest)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, reader: Reader, log: Log, key: bytes, manifest: Manifest) -> None:
    file.write(MAGIC + bytes((VERSION,)) + key)
    heads = blocks = 0
    for proof in _proofs(reader, log, manifest):
        data = proof.to_bytes()
        file.write(len(data).to_bytes(4, "little") + data)
        heads += proof.question.signed
        blocks += len(proof.data)
    file.write(bytes(4) + heads.to_bytes(8, "little") + blocks.to_bytes(8, "little"))


def _proofs(reader: Reader, log: Log, manifest: Manifest) -> Iterator[Proof]:
    """Yield the proofs of all heads, then those of all blocks that are held."""
    head: Head | None = None
    for following in log.heads(reader):
        since = head.length if head else 0
        head = following
        yield build(
            Question(length=head.length, since=since),
            head.fork,
            read_nodes=lambda indexes: log.nodes(reader, indexes),
            data=(),
            manifest=manifest,
            signatures=head.signatures,
        )
    if head is None:
        return
    for group, data in _groups(reader, log, head.length):
        yield build(
            Question(length=head.length, since=head.length, blocks=group, signed=False),
            head.fork,
            read_nodes=lambda indexes: log.nodes(reader, indexes),
            data=data,
        )


def _groups(reader: Reader, log: Log, length: int) -> Iterator[tuple[Ranges, tuple[bytes, ...]]]:
    """Yield the blocks that are held in groups that fit into a proof each."""
    pairs: list[tuple[int, int]] = []
    data: list[bytes] = []
    size = 0
    for start, stop in log.have.ranges(reader, length).pairs:
        for index in range(start, stop):
            block = log.block(reader, index)
            if block is None:
                raise CorruptError(f"block {index} is noted as held and is not here")
            full = size + len(block) > GROUP_SIZE or len(data) == MAX_PROOF_BLOCKS
            if data and (full or len(pairs) == MAX_RANGES):
                yield Ranges(pairs), tuple(data)
                pairs, data, size = [], [], 0
            if pairs and pairs[-1][1] == index:
                pairs[-1] = (pairs[-1][0], index + 1)
            else:
                pairs.append((index, index + 1))
            data.append(block)
            size += len(block)
    if data:
        yield Ranges(pairs), tuple(data)


def read_header(file: BinaryIO) -> bytes:
    """Return the key of the archive's feed; raises `DecodeError` for another file."""
    header = file.read(len(MAGIC) + 1)
    if header[: len(MAGIC)] != MAGIC:
        raise DecodeError("archive", 0, "the file is not an archive of a feed")
    if header[len(MAGIC) :] != bytes((VERSION,)):
        raise DecodeError("archive", len(MAGIC), f"version {header[len(MAGIC) :]!r} is not known")
    return _exactly(file, KEY_SIZE)


def read_proofs(file: BinaryIO) -> Iterator[Proof]:
    """Yield the proofs after the header; raises `DecodeError`, at the latest at the end."""
    heads = blocks = 0
    while size := int.from_bytes(_exactly(file, 4), "little"):
        if size > MAX_ITEM_SIZE:
            raise DecodeError(
                "archive", file.tell() - 4, f"a proof of {size} bytes, the limit is {MAX_ITEM_SIZE}"
            )
        proof = Proof.from_bytes(_exactly(file, size))
        heads += proof.question.signed
        blocks += len(proof.data)
        yield proof
    stated = (int.from_bytes(_exactly(file, 8), "little") for _ in range(2))
    if (heads, blocks) != tuple(stated):
        raise DecodeError("archive", file.tell() - 16, "it states other numbers than it has")
    if file.read(1):
        raise DecodeError("archive", file.tell() - 1, "bytes after its end")


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise DecodeError("archive", file.tell(), f"it ends {size - len(data)} bytes early")
    return data
