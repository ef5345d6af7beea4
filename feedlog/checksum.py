"""The four bytes that stand behind every value on disk.

LMDB has no checksums: a bit that a disk turned would come back as data. So a value is
stored as `value || checksum`, where the checksum is the first four bytes of
XXH3-64(value, seed = XXH32(key)). The key is part of it, because a damaged key would
otherwise hand one entry's value out under the name of another.

It finds accidents, not attackers: whoever can write the file can write the checksum.
Specified in docs/spec/store.md, "Values". Must not know transactions or files.
"""

from __future__ import annotations

from collections.abc import Sequence

from xxhash import xxh3_64_digest, xxh32_intdigest

from feedlog.errors import CorruptError

CHECKSUM_SIZE = 4
"""Bytes that a value grows by on disk."""


def seal(key: bytes, value: bytes) -> bytes:
    """Return the bytes to store for `value` under `key`."""
    return value + xxh3_64_digest(value, xxh32_intdigest(key))[:CHECKSUM_SIZE]


def seal_many(keys: Sequence[bytes], values: Sequence[bytes]) -> list[bytes]:
    """Return what `seal` gives for each pair: the short way for many."""
    checks = map(xxh3_64_digest, values, map(xxh32_intdigest, keys))
    return [value + check[:CHECKSUM_SIZE] for value, check in zip(values, checks, strict=True)]


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Return the value in `sealed`, or raise `CorruptError` if it or the key changed."""
    value = sealed[:-CHECKSUM_SIZE]
    if xxh3_64_digest(value, xxh32_intdigest(key))[:CHECKSUM_SIZE] != sealed[-CHECKSUM_SIZE:]:
        raise CorruptError(
            f"the stored value of key {key.hex()} does not match its checksum "
            f"({len(sealed)} bytes): the store is damaged"
        )
    return value
