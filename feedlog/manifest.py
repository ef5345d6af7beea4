"""The manifest: who may sign a feed, and with which hash its tree is built.

The feed's key is the hash of its manifest, so the key alone commits to the
signers, their quorum and the hash suite: none of them can be swapped later or
by a peer. Specified in docs/spec/feed.md, section 3.

    0   version   u8 = 1
    1   suite     u8, see feedlog.hashing
    2   quorum    u8, 1 to the number of signers
    3   count     u8, 1 to 32 signers
    4   signers   count x 32 bytes, Ed25519 public keys, all different
"""

from __future__ import annotations

from dataclasses import dataclass, field

from feedlog import hashing
from feedlog.errors import DecodeError
from feedlog.hashing import HashSuite
from feedlog.keys import KEY_SIZE

VERSION = 1
MAX_SIGNERS = 32
"""A head carries up to this many signatures: 2 KiB, a small part of a datagram-sized answer."""

HEADER_SIZE = 4


@dataclass(frozen=True, slots=True)
class Manifest:
    """Signers (Ed25519 public keys), the quorum of them that a head needs, and the hash suite."""

    signers: tuple[bytes, ...]
    quorum: int = 1
    suite: HashSuite = hashing.BLAKE3
    _key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raise `ValueError` where the parts do not make a manifest."""
        if not 1 <= len(self.signers) <= MAX_SIGNERS:
            raise ValueError(f"a feed has 1 to {MAX_SIGNERS} signers, not {len(self.signers)}")
        if len(set(self.signers)) != len(self.signers):
            raise ValueError("the signers of a feed must be different")
        for signer in self.signers:
            if len(signer) != KEY_SIZE:
                raise ValueError(f"a signer's key has {KEY_SIZE} bytes, not {len(signer)}")
        if not 1 <= self.quorum <= len(self.signers):
            raise ValueError(f"a quorum of {self.quorum} of {len(self.signers)} is not possible")
        # Every proof is checked against it.
        object.__setattr__(self, "_key", hashing.manifest_key(self.to_bytes()))

    def key(self) -> bytes:
        """Return the key (32 bytes) of the feed that this manifest describes."""
        return self._key

    def to_bytes(self) -> bytes:
        """Return the encoding of the module's table: 4 + 32 bytes a signer."""
        header = bytes((VERSION, self.suite.number, self.quorum, len(self.signers)))
        return header + b"".join(self.signers)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse an encoded manifest; raises `DecodeError`."""
        if len(data) < HEADER_SIZE:
            raise DecodeError("manifest", len(data), f"{len(data)} bytes are too few")
        version, suite, quorum, count = data[:HEADER_SIZE]
        if version != VERSION:
            raise DecodeError("manifest", 0, f"version {version} is not known")
        if suite not in hashing.SUITES_BY_NUMBER:
            raise DecodeError("manifest", 1, f"hash suite {suite} is not known")
        if len(data) != HEADER_SIZE + count * KEY_SIZE:
            raise DecodeError("manifest", 3, f"{len(data)} bytes do not hold {count} signers")
        signers = tuple(data[at : at + KEY_SIZE] for at in range(HEADER_SIZE, len(data), KEY_SIZE))
        try:
            return cls(signers, quorum, hashing.SUITES_BY_NUMBER[suite])
        except ValueError as error:
            raise DecodeError("manifest", 2, str(error)) from None
