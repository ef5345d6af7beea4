from __future__ import annotations

from net import hashing

KEY = bytes(range(32))
HASH = bytes(range(64))


def test_what_is_signed_and_hashed_byte_by_byte() -> None:
    assert (
        hashing.identity_signable(True, b"h" * 64, b"s" * 32)
        == b"feedlog v1 noise identity\x00" + b"s" * 32 + b"h" * 64
    )
    assert hashing.prologue(0x11, b"binding") == b"feedlog v1 noise prologue\x11binding"


def test_a_capability_depends_on_key_stream_and_side() -> None:
    proof = hashing.capability(KEY, HASH, initiator=True)
    assert len(proof) == 32
    assert proof == hashing.capability(KEY, HASH, initiator=True)
    others = {
        hashing.capability(KEY, HASH, initiator=False),
        hashing.capability(KEY[::-1], HASH, initiator=True),
        hashing.capability(KEY, HASH[::-1], initiator=True),
    }
    assert len(others | {proof}) == 4


def test_what_moving_is_proven_with() -> None:
    key = hashing.moving_key(KEY, KEY[::-1])
    assert len(hashing.moving_name(key)) == 16
    made = {
        key,
        hashing.moving_key(KEY[::-1], KEY),
        hashing.moving_name(key),
        hashing.moving_proof(key, HASH, True),
        hashing.moving_proof(key, HASH, False),
        hashing.moving_proof(key, HASH[::-1], True),
        hashing.moving_proof(KEY, HASH, True),
    }
    assert len(made) == 7
