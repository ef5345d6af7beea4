"""What each kind of router does to addresses."""

from __future__ import annotations

from random import Random

import pytest

from net.testing import Nat, NatKind

INSIDE = ("192.168.1.2", 40000)
ONE, OTHER_PORT, OTHER = ("1.1.1.1", 10), ("1.1.1.1", 11), ("2.2.2.2", 10)


def make(kind: NatKind) -> Nat:
    return Nat(kind, "9.9.9.9", Random(1), timeout=30.0)


@pytest.mark.parametrize("kind", [NatKind.CONE, NatKind.FULL_CONE, NatKind.TRAP])
def test_one_port_for_every_destination(kind: NatKind) -> None:
    nat = make(kind)
    assert {nat.outbound(INSIDE, far, 0.0) for far in (ONE, OTHER_PORT, OTHER)} == {
        ("9.9.9.9", 40000)
    }
    assert nat.outbound(("192.168.1.3", 40000), ONE, 0.0) != ("9.9.9.9", 40000)


def test_a_port_for_each_destination() -> None:
    nat = make(NatKind.SYMMETRIC)
    mapped = [nat.outbound(INSIDE, far, 0.0) for far in (ONE, OTHER_PORT, OTHER)]
    assert len(set(mapped)) == 3
    assert nat.outbound(INSIDE, ONE, 1.0) == mapped[0]
    assert mapped[0] is not None
    assert nat.inbound(ONE, mapped[0][1], 1.0) == INSIDE
    assert nat.inbound(OTHER, mapped[0][1], 1.0) is None


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (NatKind.FULL_CONE, {ONE, OTHER_PORT, OTHER}),
        (NatKind.CONE, {ONE}),
        (NatKind.TRAP, {ONE}),
    ],
)
def test_who_is_let_in(kind: NatKind, allowed: set[tuple[str, int]]) -> None:
    nat = make(kind)
    assert nat.inbound(ONE, 40000, 0.0) is None
    nat = make(kind)
    nat.outbound(INSIDE, ONE, 0.0)
    let_in = {far for far in (ONE, OTHER_PORT, OTHER) if nat.inbound(far, 40000, 1.0) == INSIDE}
    assert let_in == allowed


def test_who_knocks_at_a_trap_meets_another_port() -> None:
    nat = make(NatKind.TRAP)
    assert nat.inbound(ONE, 40000, 0.0) is None
    assert nat.outbound(INSIDE, OTHER, 0.0) == ("9.9.9.9", 40000)
    changed = nat.outbound(INSIDE, ONE, 0.0)
    assert changed is not None
    assert changed[1] != 40000
    assert nat.inbound(ONE, changed[1], 0.0) == INSIDE
    assert nat.outbound(INSIDE, ONE, 1.0) == changed


def test_nothing_passes_a_blocked_one() -> None:
    nat = make(NatKind.BLOCKED)
    assert nat.outbound(INSIDE, ONE, 0.0) is None
    assert nat.inbound(ONE, 40000, 0.0) is None


def test_an_idle_mapping_ends_and_a_used_one_lives() -> None:
    nat = make(NatKind.SYMMETRIC)
    mapped = nat.outbound(INSIDE, ONE, 0.0)
    assert mapped is not None
    assert nat.inbound(ONE, mapped[1], 29.0) == INSIDE
    assert nat.inbound(ONE, mapped[1], 58.0) == INSIDE
    assert nat.inbound(ONE, mapped[1], 89.0) is None
    assert nat.outbound(INSIDE, ONE, 90.0) != mapped
    nat.forget()
    assert nat.inbound(ONE, mapped[1], 90.0) is None
