from __future__ import annotations

import itertools

import pytest

from net.errors import HandshakeError
from net.noise.handshake import (
    MAX_HANDSHAKE_MESSAGE,
    PATTERN_IK,
    PATTERN_XX,
    TRANSITIONS,
    Handshake,
    State,
)
from net.noise.identity import MAX_EXTRA, MAX_PROTOCOL_NAME
from tests.reference.wire import ALICE, BOB, EVE


def initiator(
    remote_key: bytes | None = BOB.public_key, *, extra: bytes = b"", binding: bytes = b""
) -> Handshake:
    return Handshake(
        ALICE,
        initiator=True,
        remote_key=remote_key,
        protocol="test",
        extra=extra,
        binding=binding,
    )


def responder(*, extra: bytes = b"", binding: bytes = b"") -> Handshake:
    return Handshake(BOB, initiator=False, extra=extra, binding=binding)


def finish(left: Handshake, right: Handshake) -> None:
    for _ in range(4):
        for source, target in ((left, right), (right, left)):
            data = source.data_to_send()
            if data:
                assert target.receive_data(data) == b""
            if target.state is State.DECIDE:
                target.accept()


@pytest.mark.parametrize(
    ("remote_key", "pattern"), [(BOB.public_key, PATTERN_IK), (None, PATTERN_XX)]
)
def test_both_sides_agree_on_keys_hash_and_identities(
    remote_key: bytes | None, pattern: int
) -> None:
    left, right = initiator(remote_key, extra=b"hers"), responder(extra=b"his")
    finish(left, right)
    assert left.pattern == right.pattern == pattern
    ours, theirs = left.result, right.result
    assert ours is not None
    assert theirs is not None
    assert ours.handshake_hash == theirs.handshake_hash
    assert len(ours.handshake_hash) == 64
    assert (ours.send_key, ours.receive_key) == (theirs.receive_key, theirs.send_key)
    assert ours.send_key != ours.receive_key
    assert (ours.identity.public_key, ours.identity.extra) == (BOB.public_key, b"his")
    assert (theirs.identity.public_key, theirs.identity.extra) == (ALICE.public_key, b"hers")
    assert right.protocol == "test"


@pytest.mark.parametrize("remote_key", [BOB.public_key, None])
def test_every_handshake_has_its_own_hash(remote_key: bytes | None) -> None:
    hashes = set()
    for _ in range(3):
        left, right = initiator(remote_key), responder()
        finish(left, right)
        assert left.result is not None
        hashes.add(left.result.handshake_hash)
    assert len(hashes) == 3


def test_the_responder_decides_before_it_answers() -> None:
    left, right = initiator(), responder()
    right.receive_data(left.data_to_send())
    assert right.state is State.DECIDE
    assert right.peer is not None
    assert right.peer.public_key == ALICE.public_key
    assert right.data_to_send() == b""


def test_an_initiator_without_a_key_decides_before_it_names_itself() -> None:
    left, right = initiator(None), responder()
    right.receive_data(left.data_to_send())
    left.receive_data(right.data_to_send())
    assert left.state is State.DECIDE
    assert left.peer is not None
    assert left.peer.public_key == BOB.public_key
    assert left.data_to_send() == b""


def test_ik_for_another_key_is_not_understood() -> None:
    left, right = initiator(EVE.public_key), responder()
    with pytest.raises(HandshakeError, match="not authentic"):
        right.receive_data(left.data_to_send())
    assert right.state is State.FAILED
    with pytest.raises(HandshakeError, match="has failed"):
        right.receive_data(b"x")


def test_the_negative_of_the_wanted_key_is_not_the_wanted_key() -> None:
    negative = BOB.public_key[:31] + bytes([BOB.public_key[31] ^ 0x80])
    left, right = initiator(negative), responder()
    right.receive_data(left.data_to_send())  # the static keys are the same: Noise is content
    right.accept()
    with pytest.raises(HandshakeError, match="not the key that was asked for"):
        left.receive_data(right.data_to_send())


@pytest.mark.parametrize("remote_key", [BOB.public_key, None])
def test_both_ends_must_see_the_same_channel_binding(remote_key: bytes | None) -> None:
    left, right = (
        initiator(remote_key, binding=b"certificate 1"),
        responder(binding=b"certificate 2"),
    )
    with pytest.raises(HandshakeError):
        finish(left, right)


@pytest.mark.parametrize("remote_key", [BOB.public_key, None])
def test_cut_into_single_bytes_it_is_the_same(remote_key: bytes | None) -> None:
    left, right = initiator(remote_key), responder()
    for _ in range(4):
        for source, target in ((left, right), (right, left)):
            for byte in source.data_to_send():
                assert target.receive_data(bytes([byte])) == b""
            if target.state is State.DECIDE:
                target.accept()
    assert left.state is right.state is State.DONE


def test_bytes_behind_the_handshake_are_given_back() -> None:
    left, right = initiator(), responder()
    right.receive_data(left.data_to_send())
    right.accept()
    assert left.receive_data(right.data_to_send() + b"records") == b"records"
    assert left.receive_data(b"more") == b"more"


def test_the_largest_message_that_we_make_is_within_the_limit() -> None:
    largest = Handshake(
        ALICE,
        initiator=True,
        remote_key=BOB.public_key,
        protocol="p" * MAX_PROTOCOL_NAME,
        extra=b"e" * MAX_EXTRA,
    ).data_to_send()
    assert len(largest) - 3 <= MAX_HANDSHAKE_MESSAGE
    right = responder()
    right.receive_data(largest)
    assert right.state is State.DECIDE


def test_a_message_over_the_limit_is_refused_by_its_length() -> None:
    right = responder()
    head = bytes([PATTERN_IK]) + (MAX_HANDSHAKE_MESSAGE + 1).to_bytes(2, "little")
    with pytest.raises(HandshakeError, match="1025 bytes, limit 1024"):
        right.receive_data(head)


def test_a_key_that_nobody_can_have_is_no_fault_of_ours() -> None:
    """It comes from an announcement, as often as not."""
    with pytest.raises(HandshakeError, match="not a public key"):
        initiator(bytes(32))


def test_misuse_is_ours() -> None:
    with pytest.raises(ValueError, match="only an initiator"):
        Handshake(BOB, initiator=False, remote_key=ALICE.public_key)
    with pytest.raises(RuntimeError, match="nothing to accept"):
        responder().accept()


def test_every_step_is_in_the_table() -> None:
    """All walks of both patterns, and a bad byte at each point, use legal successors only."""
    seen: set[tuple[State, State]] = set()
    for remote_key, cut in itertools.product((BOB.public_key, None), range(5)):
        sides = [initiator(remote_key), responder()]
        for step in range(4):
            source, target = sides[step % 2], sides[1 - step % 2]
            data = source.data_to_send()
            if step == cut:
                data = data[:-1] + bytes([data[-1] ^ 1]) if data else b"\x05\x00abcde"
            before = target.state
            try:
                target.receive_data(data)
            except HandshakeError:
                assert target.state is State.FAILED
                break
            seen.add((before, target.state))
            if target.state is State.DECIDE:
                target.accept()
    for before, after in seen:
        reachable = {before} | TRANSITIONS[before]
        reachable |= {far for near in TRANSITIONS[before] for far in TRANSITIONS[near]}
        assert after in reachable
