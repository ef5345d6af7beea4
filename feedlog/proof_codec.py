"""The bytes of a proof: a version, then one MessagePack array with bounds on every part.

    byte 0      version = 1
    byte 1..    array: fork, length, since, signed, ranges, hashes, anchors, seek,
                sizes, digests, blocks, manifest, signatures

`digests` is the nodes' hashes end to end, `sizes` their byte counts; `ranges`
are [start, stop) pairs in ascending order, `blocks` their contents. Specified in
docs/spec/feed.md, section 7. What was hashed or signed is never re-encoded from
here, so that MessagePack's freedom in writing integers does not matter.

Knows shapes and bounds. Must not know what the numbers mean.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from feedlog.errors import DecodeError
from feedlog.hashing import HASH_SIZE
from feedlog.keys import SIGNATURE_SIZE
from feedlog.manifest import HEADER_SIZE, MAX_SIGNERS

VERSION = 1

MAX_LENGTH = (1 << 40) - 1
"""Blocks in a feed; the store's keys have 40 bits for lengths."""
MAX_FORK = (1 << 32) - 1
MAX_BYTES = (1 << 63) - 1
MAX_RANGES = 4096
"""Ranges, hashes and anchors in one proof: each costs the verifier up to 40 steps."""
MAX_BLOCK_SIZE = (16 << 20) - 1024
"""Bytes in a block: with its proof it stays under 16 MiB."""
MAX_PROOF_BLOCKS = 1 << 16
MAX_NODES = 3 * MAX_RANGES * 40

Length = Annotated[int, msgspec.Meta(ge=0, le=MAX_LENGTH)]
Index = Annotated[int, msgspec.Meta(ge=0, lt=2 * MAX_LENGTH)]
Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_BYTES)]
Indexes = Annotated[tuple[Index, ...], msgspec.Meta(max_length=MAX_RANGES)]
Block = Annotated[bytes, msgspec.Meta(max_length=MAX_BLOCK_SIZE)]
Place = Annotated[int, msgspec.Meta(ge=0, lt=MAX_SIGNERS)]
Signature = Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_SIZE, max_length=SIGNATURE_SIZE)]


class Fields(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The parts of a proof in the order of the wire."""

    fork: Annotated[int, msgspec.Meta(ge=0, le=MAX_FORK)]
    length: Length
    since: Length
    signed: bool
    ranges: Annotated[tuple[tuple[Length, Length], ...], msgspec.Meta(max_length=MAX_RANGES)]
    hashes: Indexes
    anchors: Indexes
    seek: Size | None
    sizes: Annotated[tuple[Size, ...], msgspec.Meta(max_length=MAX_NODES)]
    digests: Annotated[bytes, msgspec.Meta(max_length=MAX_NODES * HASH_SIZE)]
    blocks: Annotated[tuple[Block, ...], msgspec.Meta(max_length=MAX_PROOF_BLOCKS)]
    manifest: Annotated[bytes, msgspec.Meta(max_length=HEADER_SIZE + 32 * MAX_SIGNERS)]
    signatures: Annotated[tuple[tuple[Place, Signature], ...], msgspec.Meta(max_length=MAX_SIGNERS)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Fields)


def encode(fields: Fields) -> bytes:
    """Return the version byte and the fields."""
    return bytes((VERSION,)) + _encoder.encode(fields)


def decode(data: bytes | memoryview) -> Fields:
    """Parse what `encode` wrote; raises `DecodeError` for anything else."""
    if not data:
        raise DecodeError("proof", 0, "no bytes")
    if data[0] != VERSION:
        raise DecodeError("proof", 0, f"version {data[0]} is not known")
    try:
        fields = _decoder.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError("proof", 1, str(error)) from None
    if len(fields.digests) != HASH_SIZE * len(fields.sizes):
        raise DecodeError(
            "proof",
            1,
            f"{len(fields.sizes)} sizes do not fit {len(fields.digests)} bytes of hashes",
        )
    return fields


def split(digests: bytes) -> tuple[bytes, ...]:
    """Return the hashes that stand end to end."""
    return tuple(digests[at : at + HASH_SIZE] for at in range(0, len(digests), HASH_SIZE))
