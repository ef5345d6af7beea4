"""A head counts with a quorum of distinct signers of the feed, and with nothing less."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from feedlog import Head, InvalidProof, KeyPair, Manifest
from feedlog.head import sign

PAIRS = [KeyPair.from_seed(bytes([i]) * 32) for i in range(4)]
MANIFEST = Manifest(tuple(pair.public_key for pair in PAIRS[:3]), quorum=2)
KEY = MANIFEST.key()
FACTS: dict[str, Any] = {"fork": 1, "length": 9, "tree_hash": b"t" * 32}


def head(*signers: int) -> Head:
    signatures = sign(KEY, MANIFEST, [PAIRS[i] for i in signers], **FACTS)
    return Head(FACTS["fork"], FACTS["length"], FACTS["tree_hash"], signatures)


@pytest.mark.parametrize("signers", [(0, 1), (1, 0), (0, 2), (1, 2), (0, 1, 2)])
def test_any_quorum(signers: tuple[int, ...]) -> None:
    signed = head(*signers)
    assert [place for place, _ in signed.signatures] == sorted(signers)
    signed.check(KEY, MANIFEST)


@pytest.mark.parametrize("signers", [(), (0,), (2,)])
def test_too_few(signers: tuple[int, ...]) -> None:
    message = f"head has {len(signers)} signatures, the quorum is 2"
    with pytest.raises(InvalidProof, match=message):
        head(*signers).check(KEY, MANIFEST)


def test_the_same_signer_twice() -> None:
    ((place, signature),) = head(1).signatures
    for signatures in (((1, signature), (1, signature)), ((1, signature), (2, signature))):
        forged = dataclasses.replace(head(0), signatures=signatures)
        with pytest.raises(InvalidProof, match=r"names the signers|signature of signer 2"):
            forged.check(KEY, MANIFEST)
    assert place == 1


def test_in_the_wrong_order() -> None:
    signed = head(0, 1)
    forged = dataclasses.replace(signed, signatures=signed.signatures[::-1])
    with pytest.raises(InvalidProof, match=r"names the signers \[1, 0\] of 3"):
        forged.check(KEY, MANIFEST)


def test_a_place_that_there_is_not() -> None:
    signed = head(0, 1)
    forged = dataclasses.replace(signed, signatures=(signed.signatures[0], (3, bytes(64))))
    with pytest.raises(InvalidProof, match=r"names the signers \[0, 3\] of 3"):
        forged.check(KEY, MANIFEST)


def test_a_foreign_signer_has_no_place() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        head(0, 3)


@pytest.mark.parametrize("change", [{"fork": 2}, {"length": 8}, {"tree_hash": b"u" * 32}])
def test_every_fact_is_signed(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidProof, match="signature of signer 0 on the head of length"):
        dataclasses.replace(head(0, 1), **change).check(KEY, MANIFEST)


def test_the_feed_is_signed() -> None:
    with pytest.raises(InvalidProof, match="signature of signer 0"):
        head(0, 1).check(bytes(32), MANIFEST)
