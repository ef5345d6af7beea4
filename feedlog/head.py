"""The signed head: one fork, one length, one tree hash, vouched for by a quorum.

A head is what a reader trusts; everything else in a feed is checked against one.
Every batch's head is kept, so that an old version stays provable. Specified in
docs/spec/feed.md, section 5.

Knows signatures and manifests. Must not know how the tree hash came about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from feedlog import hashing
from feedlog.errors import InvalidProof
from feedlog.keys import KeyPair, verify
from feedlog.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Head:
    """A signed statement: in `fork`, the first `length` blocks have `tree_hash`.

    `signatures` pairs a signer's place in the manifest with its signature (64
    bytes), in ascending order of places.
    """

    fork: int
    length: int
    tree_hash: bytes
    signatures: tuple[tuple[int, bytes], ...]

    def check(self, key: bytes, manifest: Manifest) -> None:
        """Raise `InvalidProof` unless a quorum of distinct signers of the feed vouches for it.

        The caller has checked that `manifest` is the one that `key` commits to.
        """
        if len(self.signatures) < manifest.quorum:
            raise InvalidProof(
                f"head has {len(self.signatures)} signatures, the quorum is {manifest.quorum}"
            )
        places = [place for place, _ in self.signatures]
        if places != sorted(set(places)) or places[-1] >= len(manifest.signers):
            raise InvalidProof(f"head names the signers {places} of {len(manifest.signers)}")
        message = hashing.head_signable(key, self.tree_hash, self.length, self.fork)
        for place, signature in self.signatures:
            if not verify(manifest.signers[place], message, signature):
                raise InvalidProof(
                    f"signature of signer {place} on the head of length {self.length} is not valid"
                )


def sign(
    key: bytes,
    manifest: Manifest,
    key_pairs: Iterable[KeyPair],
    *,
    fork: int,
    length: int,
    tree_hash: bytes,
) -> tuple[tuple[int, bytes], ...]:
    """Return the signatures that the key pairs (signers of the manifest) give a head."""
    message = hashing.head_signable(key, tree_hash, length, fork)
    places = manifest.signers
    return tuple(
        sorted([(places.index(pair.public_key), pair.sign(message)) for pair in key_pairs])
    )
