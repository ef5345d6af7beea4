"""Keys, seals and tokens."""

from __future__ import annotations

from net.punch.hashing import path_token, punch_keys, seal

ONE, TWO, TRANSCRIPT = bytes([1]) * 32, bytes([2]) * 32, bytes(64)


def test_one_side_receives_with_what_the_other_sends_with() -> None:
    near, far = punch_keys(ONE, TWO, TRANSCRIPT), punch_keys(TWO, ONE, TRANSCRIPT)
    assert (near.send, near.receive) == (far.receive, far.send)
    assert near.session == far.session
    assert near.send not in (near.receive, ONE)
    assert punch_keys(ONE, TWO, bytes([9]) * 64).session != near.session
    assert near.send.hex() not in repr(near)


def test_tokens_and_seals_depend_on_everything() -> None:
    assert len({path_token(ONE, 0, b"a"), path_token(ONE, 1, b"a"), path_token(ONE, 0, b"b"),
                path_token(TWO, 0, b"a")}) == 4  # fmt: skip
    assert len({seal(ONE, b"a"), seal(TWO, b"a"), seal(ONE, b"b")}) == 3
