"""The bounds of an encoded proof: at each limit it parses, one past it does not."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedlog import DecodeError
from feedlog.manifest import MAX_SIGNERS
from feedlog.proof_codec import (
    MAX_BLOCK_SIZE,
    MAX_BYTES,
    MAX_FORK,
    MAX_LENGTH,
    MAX_NODES,
    MAX_PROOF_BLOCKS,
    MAX_RANGES,
    Fields,
    decode,
    encode,
    split,
)

HASHES = st.binary(min_size=32, max_size=32)
LENGTHS = st.integers(0, MAX_LENGTH)
SIZES = st.integers(0, MAX_BYTES)

NONE = Fields(
    fork=0,
    length=0,
    since=0,
    signed=True,
    ranges=(),
    hashes=(),
    anchors=(),
    seek=None,
    sizes=(),
    digests=b"",
    blocks=(),
    manifest=b"",
    signatures=(),
)


@st.composite
def fields(draw: st.DrawFn) -> Fields:
    nodes = draw(st.lists(st.tuples(SIZES, HASHES), max_size=5))
    return Fields(
        fork=draw(st.integers(0, MAX_FORK)),
        length=draw(LENGTHS),
        since=draw(LENGTHS),
        signed=draw(st.booleans()),
        ranges=tuple(draw(st.lists(st.tuples(LENGTHS, LENGTHS), max_size=4))),
        hashes=tuple(draw(st.lists(LENGTHS, max_size=4))),
        anchors=tuple(draw(st.lists(LENGTHS, max_size=4))),
        seek=draw(st.none() | SIZES),
        sizes=tuple(size for size, _ in nodes),
        digests=b"".join(digest for _, digest in nodes),
        blocks=tuple(draw(st.lists(st.binary(max_size=20), max_size=4))),
        manifest=draw(st.binary(max_size=40)),
        signatures=tuple(
            draw(
                st.lists(
                    st.tuples(st.integers(0, MAX_SIGNERS - 1), st.binary(min_size=64, max_size=64)),
                    max_size=3,
                )
            )
        ),
    )


@given(fields())
def test_there_and_back(drawn: Fields) -> None:
    data = encode(drawn)
    assert decode(data) == drawn
    assert decode(memoryview(data)) == drawn
    assert b"".join(split(drawn.digests)) == drawn.digests
    assert len(split(drawn.digests)) == len(drawn.sizes)


@given(fields(), st.data())
def test_every_truncation_and_any_byte_more(drawn: Fields, data: st.DataObject) -> None:
    encoded = encode(drawn)
    with pytest.raises(DecodeError):
        decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(DecodeError):
        decode(encoded + b"\xc0")


AT_THE_LIMIT: dict[str, Any] = {
    "fork": (MAX_FORK, MAX_FORK + 1),
    "length": (MAX_LENGTH, MAX_LENGTH + 1),
    "since": (MAX_LENGTH, -1),
    "ranges": (((0, 1),) * MAX_RANGES, ((0, 1),) * (MAX_RANGES + 1)),
    "hashes": ((0,) * MAX_RANGES, (0,) * (MAX_RANGES + 1)),
    "anchors": ((2 * MAX_LENGTH - 1,), (2 * MAX_LENGTH,)),
    "seek": (MAX_BYTES, MAX_BYTES + 1),
    "blocks": ((b"",) * MAX_PROOF_BLOCKS, (b"",) * (MAX_PROOF_BLOCKS + 1)),
    "manifest": (bytes(4 + 32 * MAX_SIGNERS), bytes(5 + 32 * MAX_SIGNERS)),
    "signatures": (((31, bytes(64)),) * MAX_SIGNERS, ((32, bytes(64)),)),
}


@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_limits(name: str) -> None:
    largest, too_large = AT_THE_LIMIT[name]
    fits = msgspec.structs.replace(NONE, **{name: largest})
    assert decode(encode(fits)) == fits
    with pytest.raises(DecodeError):
        decode(encode(msgspec.structs.replace(NONE, **{name: too_large})))


def test_the_largest_block() -> None:
    fits = msgspec.structs.replace(NONE, blocks=(bytes(MAX_BLOCK_SIZE),))
    assert decode(encode(fits)) == fits
    with pytest.raises(DecodeError):
        decode(encode(msgspec.structs.replace(NONE, blocks=(bytes(MAX_BLOCK_SIZE + 1),))))


def test_the_most_nodes() -> None:
    def nodes(count: int) -> bytes:
        return encode(msgspec.structs.replace(NONE, sizes=(0,) * count, digests=bytes(32 * count)))

    assert len(decode(nodes(MAX_NODES)).sizes) == MAX_NODES
    with pytest.raises(DecodeError):
        decode(nodes(MAX_NODES + 1))


def test_hashes_that_do_not_fit_the_sizes() -> None:
    for sizes, digests in (((0,), b""), ((), bytes(32)), ((0, 0), bytes(32)), ((0,), bytes(33))):
        with pytest.raises(DecodeError, match="sizes do not fit"):
            decode(encode(msgspec.structs.replace(NONE, sizes=sizes, digests=digests)))


def test_versions() -> None:
    data = encode(NONE)
    assert data[0] == 1
    with pytest.raises(DecodeError, match="version 0 is not known"):
        decode(b"\x00" + data[1:])
    with pytest.raises(DecodeError, match="no bytes"):
        decode(b"")


@given(st.binary(max_size=100))
def test_any_bytes_are_fields_or_a_decode_error(data: bytes) -> None:
    for candidate in (data, b"\x01" + data, b"\x01\x9d" + data):
        with contextlib.suppress(DecodeError):
            decode(candidate)
