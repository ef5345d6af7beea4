"""NAT classes from reports."""

from __future__ import annotations

import pytest

from net.addresses import Address
from net.punch.classify import NatClass, NatReport, classify

A, B, C, D = [(f"{n}.{n}.{n}.{n}", 1) for n in (1, 2, 3, 4)]
US = ("9.9.9.9", 5000)


@pytest.mark.parametrize(
    ("reports", "kind", "public"),
    [
        ({}, NatClass.UNKNOWN, None),
        ({A: US}, NatClass.UNKNOWN, US),
        ({A: US, (A[0], 2): US}, NatClass.UNKNOWN, US),  # one witness at two ports
        ({A: US, B: US}, NatClass.CONSISTENT, US),
        ({A: US, B: US, C: ("6.6.6.6", 6)}, NatClass.CONSISTENT, US),  # one lies
        ({A: US, B: ("9.9.9.9", 5001)}, NatClass.UNKNOWN, US),
        ({A: US, B: ("9.9.9.9", 5001), C: ("9.9.9.9", 5002)}, NatClass.RANDOM, US),
        ({A: ("192.168.1.2", 7), B: ("192.168.1.2", 7), C: US, D: US}, NatClass.CONSISTENT, US),
        ({A: ("::1", 7), B: ("::1", 7)}, NatClass.UNKNOWN, None),  # another IP version
        ({A: ("9.9.9.9", 0)}, NatClass.UNKNOWN, None),
    ],
)
def test_classes(reports: dict[Address, Address], kind: NatClass, public: Address | None) -> None:
    assert classify(reports, []) == NatReport(kind, public)


def test_whoever_is_seen_at_its_own_address_is_open() -> None:
    assert classify({A: US}, [US]) == NatReport(NatClass.OPEN, US)
    assert classify({A: US, B: US}, [("9.9.9.9", 4999)]).kind is NatClass.CONSISTENT


def test_the_host_that_most_see_is_named_for_a_random_one() -> None:
    reports = {A: ("9.9.9.9", 1), B: ("8.8.8.8", 2), C: ("9.9.9.9", 3), D: ("9.9.9.9", 4)}
    assert classify(reports, []) == NatReport(NatClass.RANDOM, ("9.9.9.9", 1))
