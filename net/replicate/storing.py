"""Verifying and storing what came, many proofs in one transaction.

A commit costs the disk as much for one proof as for fifty. Where one of them is bad the
transaction leaves nothing, and each is tried alone, to find out which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from feedlog import Feed, ForkConflict, InvalidProof, Proof
from feedlog.errors import FeedlogError
from feedlog.proof import Verified

Outcome = Verified | FeedlogError


def store_proofs(
    feed: Feed, proofs: Sequence[Proof], transaction: Callable[[], AbstractContextManager[None]]
) -> list[Outcome]:
    """Apply proofs in order; return, for each, what it showed or why it was not stored."""
    if len(proofs) > 1:
        try:
            with transaction():
                return [feed.apply(proof) for proof in proofs]
        except (InvalidProof, ForkConflict):
            pass  # one of them: each shows alone below
        except FeedlogError as error:
            return [error] * len(proofs)
    return [_apply(feed, proof) for proof in proofs]


def _apply(feed: Feed, proof: Proof) -> Outcome:
    try:
        return feed.apply(proof)
    except FeedlogError as error:
        return error
