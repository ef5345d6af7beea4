"""Following a peer to another address, and nobody else."""

from __future__ import annotations

from net.carriers.quic_path import AMPLIFICATION, OVERTAKEN, PROOF_TIMEOUT, Path

HOME, CAFE, TRAIN = ("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 3)


def proven(path: Path) -> bool:
    return path.proven


def moved() -> Path:
    path = Path(HOME)
    assert proven(path)
    assert path.heard(CAFE, 100, 10.0)
    return path


def test_a_proven_path_sends_without_limit() -> None:
    path = Path(HOME)
    assert not path.heard(HOME, 1, 0.0)
    assert path.may_send(10**9)


def test_a_new_address_gets_three_times_what_it_sent_until_it_is_proven() -> None:
    path = moved()
    assert (path.address, path.proven_address) == (CAFE, HOME)
    assert not proven(path)
    assert path.may_send(AMPLIFICATION * 100 - 1)
    assert not path.may_send(2)
    assert path.may_send(1)
    assert not path.heard(CAFE, 10, 10.1)
    assert path.may_send(AMPLIFICATION * 10)
    assert not path.may_send(1)
    path.prove(path.token - 1)
    assert not proven(path)
    path.prove(path.token)
    assert proven(path)
    assert path.proven_address == CAFE
    assert path.may_send(10**9)


def test_without_proof_the_old_address_counts_again() -> None:
    path = moved()
    path.expire(path.deadline - 0.1)
    assert path.address == CAFE
    assert path.heard(TRAIN, 50, 11.0)
    path.expire(11.0 + PROOF_TIMEOUT)
    assert path.address == HOME
    assert proven(path)
    assert path.heard(CAFE, 50, 20.0)


def test_late_datagrams_do_not_move_it_back() -> None:
    path = moved()
    assert not path.heard(HOME, 1000, 10.0 + OVERTAKEN / 2)
    path.prove(path.token)
    assert not path.heard(HOME, 1000, 10.0 + OVERTAKEN / 2)
    assert path.address == CAFE
    assert path.heard(HOME, 1000, 10.0 + OVERTAKEN)
    assert path.address == HOME


def test_a_handshake_proves_its_address() -> None:
    path = Path(HOME)
    path.take(CAFE)
    assert proven(path)
    assert path.address == CAFE
