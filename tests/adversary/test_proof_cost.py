"""A proof that is cheap to send must be cheap to refuse: work is counted, not timed."""

from __future__ import annotations

import dataclasses
import sys
from types import FrameType

import pytest

from feedlog import InvalidProof, Proof, Store, check_proof
from feedlog.proof_codec import MAX_BYTES


def calls(proof: Proof, key: bytes) -> int:
    """Count the calls of Python functions that refusing the proof takes."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        del frame, argument
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        with pytest.raises(InvalidProof, match="in none of the blocks"):
            check_proof(key, proof)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("step", [1, 2])
def test_a_byte_that_no_block_has_is_sought_once(step: int) -> None:
    with Store.memory() as store:
        feed = store.feed("log")
        feed.extend([b""] * 4001)
        few, many = (
            dataclasses.replace(feed.prove(range(0, count, step)), seek=MAX_BYTES)
            for count in (500, 4000)
        )
        assert calls(many, feed.key) < 10 * calls(few, feed.key)
