"""A key of a large trie is found far away in one round trip: 50 ms of real delay, real processes.

The two ends are network namespaces with a TUN link between them, so this needs root.
"""

from __future__ import annotations

import sys

import pytest

from benchmarks.link import Link

COMMAND = [sys.executable, "-m", "tests.processes.far_trie"]


@pytest.mark.parametrize("keys", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_a_get_far_away(keys: int) -> None:
    with Link(delay_ms=25) as link:
        said = link.ask(
            [*COMMAND, "serve", str(keys)], lambda told: [*COMMAND, "read", told, str(keys)]
        )
    cold, *warm = said["trips"]
    assert cold <= 2
    assert set(warm) == {1}, "the path comes in one answer, and the values are not here yet"
