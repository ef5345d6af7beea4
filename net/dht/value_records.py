"""A value: a few bytes that the owner of a key publishes under it, signed and numbered.

    offset  size  field
         0     1  version, 1
         1    32  public key of the owner (Ed25519)
        33     8  seq, unsigned: a higher one replaces a lower one
        41     8  expiry, Unix seconds
        49     1  size of the salt, 0..32
        50     2  size of the value, 0..512
        52     -  salt: which of its owner's values it is
         -     -  value
         -    64  signature of all the bytes before it

Integers are in network order. What was signed is verified as it was received. The topic under
which nodes hold a value follows from key and salt. Specified in docs/spec/dht.md, section 11.

Knows bytes and keys. Must not know who stores a value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from feedlog.errors import DecodeError
from feedlog.keys import SIGNATURE_SIZE, KeyPair, verify
from net.dht.hashing import value_signable, value_topic

VERSION = 1
HEADER = struct.Struct(">B32sQQBH")
assert HEADER.size == 52

MAX_SALT = 32
MAX_VALUE = 512
"""Fits into an answer beside the ten nearest contacts, also IPv6 ones and sealed."""

MAX_SEQ = 2**63 - 1
"""What a request can name, and languages without unsigned integers can hold."""

MAX_VALUE_RECORD = HEADER.size + MAX_SALT + MAX_VALUE + SIGNATURE_SIZE
assert MAX_VALUE_RECORD == 660

VALUE_LIFETIME = 7200
"""Seconds that a value may lie in the future: its owner renews it long before."""


@dataclass(frozen=True, slots=True)
class Value:
    """A verified value and the bytes that it came in."""

    public_key: bytes
    salt: bytes
    seq: int
    expiry: int
    value: bytes
    raw: bytes

    withdrawn = False
    """A value is not taken back but replaced: by an empty one, if need be."""

    @property
    def topic(self) -> bytes:
        """Under which nodes hold it."""
        return value_topic(self.public_key, self.salt)

    def obstacle(self, held: Value, cas: int | None) -> str:
        """Return why this may not take the place of a value that is held; empty if it may.

        With a `cas` it is to replace nothing newer than the value with that seq.
        """
        if held.seq > self.seq:
            return f"seq {self.seq} is not higher than seq {held.seq}, which is held"
        if held.seq == self.seq and held.value != self.value:
            return f"another value with seq {held.seq} is held"
        if cas is not None and held.seq > cas and held.seq != self.seq:
            return f"seq {held.seq} is held, and not seq {cas}, which was to be replaced"
        return ""

    def same(self, other: Value) -> bool:
        """Tell whether this says the same as another value of the topic, until whenever."""
        return (self.seq, self.value) == (other.seq, other.value)

    def renews(self, other: Value) -> bool:
        """Tell whether this is the same value, to be held for longer."""
        return self.same(other) and self.expiry > other.expiry


def sign_value(key_pair: KeyPair, value: bytes, *, salt: bytes, seq: int, expiry: int) -> Value:
    """Sign a value; raises `ValueError` for what does not fit into one."""
    if len(value) > MAX_VALUE:
        raise ValueError(f"a value has at most {MAX_VALUE} bytes, not {len(value)}")
    check_salt(salt)
    check_seq(seq)
    public_key = key_pair.public_key
    body = HEADER.pack(VERSION, public_key, seq, expiry, len(salt), len(value)) + salt + value
    return Value(public_key, salt, seq, expiry, value, body + key_pair.sign(value_signable(body)))


def check_salt(salt: bytes) -> None:
    """Raise `ValueError` for what is no salt."""
    if len(salt) > MAX_SALT:
        raise ValueError(f"a salt has at most {MAX_SALT} bytes, not {len(salt)}")


def check_seq(seq: int) -> None:
    """Raise `ValueError` for what is no seq."""
    if not 0 <= seq <= MAX_SEQ:
        raise ValueError(f"a seq lies in 0..2**63-1, not {seq}")


def seq_of(raw: bytes) -> int:
    """Return the seq of a value that has been verified."""
    seq: int = HEADER.unpack_from(raw)[2]
    return seq


def parse_value(raw: bytes) -> Value:
    """Read and verify a value; raises `DecodeError` and nothing else."""
    if not HEADER.size + SIGNATURE_SIZE <= len(raw) <= MAX_VALUE_RECORD:
        raise DecodeError("dht value", len(raw), f"its size lies outside 116..{MAX_VALUE_RECORD}")
    version, public_key, seq, expiry, salt_size, size = HEADER.unpack_from(raw)
    if version != VERSION:
        raise DecodeError("dht value", 0, f"version {version}, expected {VERSION}")
    if salt_size > MAX_SALT or size > MAX_VALUE:
        raise DecodeError("dht value", 49, f"{salt_size} bytes of salt, {size} of value")
    start, end = HEADER.size + salt_size, len(raw) - SIGNATURE_SIZE
    if seq > MAX_SEQ:
        raise DecodeError("dht value", 33, f"seq {seq}, more than {MAX_SEQ}")
    if start + size != end:
        raise DecodeError("dht value", end, f"{start + size} bytes are announced")
    if not verify(public_key, value_signable(raw[:end]), raw[end:]):
        raise DecodeError("dht value", end, "the signature does not match")
    return Value(public_key, raw[HEADER.size : start], seq, expiry, raw[start:end], raw)
