"""What carriers travel over, and how that is said."""

from __future__ import annotations

import pytest

from net.carriers.medium import Medium


def test_it_is_said_in_words() -> None:
    assert [str(medium) for medium in Medium] == [
        "tcp", "punched tcp", "quic", "punched quic", "relay", "memory",
    ]  # fmt: skip


@pytest.mark.parametrize("medium", Medium)
def test_quic_through_a_hole_is_quic(medium: Medium) -> None:
    assert medium.is_quic == str(medium).endswith("quic")
