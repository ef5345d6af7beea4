"""Why a request was refused, for people."""

from __future__ import annotations

from net.dht.codes import REASONS, Code


def test_each_refusal_has_a_reason_of_its_own() -> None:
    assert set(REASONS) == set(Code) - {Code.OK}
    assert len(set(REASONS.values())) == len(REASONS)
