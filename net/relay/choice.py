"""Which relays to wait at: the nearest that answer, by measured round trip.

    choice.found(relay)                  choice.to_try(now) -> relays to measure now
    choice.measured(relay, seconds)      choice.failed(relay, now)

A relay close to us adds least to every circuit, whoever connects. One that failed is tried
again after a pause that doubles, so that a relay that comes back is found and one that
does not costs little.

Invariant: at most `MAX_CANDIDATES` relays are remembered; the worst is forgotten first.
Sans-I/O. Must not know how relays are reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from net.addresses import RelayAddress

MAX_CANDIDATES = 64

AT_ONCE = 6
"""Relays that are measured together: enough that one of them is near."""

PAUSE = 15.0
"""Seconds after the first failure; it doubles with each further one."""
MAX_PAUSE = 900.0


@dataclass(slots=True)
class Candidate:
    """What is known of one relay."""

    relay: RelayAddress
    round_trip: float | None = None
    failures: int = 0
    not_before: float = 0.0

    @property
    def rank(self) -> tuple[int, float]:
        """The lower, the better; unmeasured ones behind those that are near."""
        return self.failures, 0.1 if self.round_trip is None else self.round_trip


class RelayChoice:
    """The relays that we know of."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._candidates: dict[RelayAddress, Candidate] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def found(self, relay: RelayAddress) -> None:
        """Learn of a relay."""
        if relay not in self._candidates:
            self._candidates[relay] = Candidate(relay)
            if len(self._candidates) > MAX_CANDIDATES:
                worst = max(self._candidates.values(), key=lambda candidate: candidate.rank)
                del self._candidates[worst.relay]

    def measured(self, relay: RelayAddress, seconds: float) -> None:
        """Learn how far away a relay is."""
        if (candidate := self._candidates.get(relay)) is not None:
            candidate.round_trip = seconds
            candidate.failures = 0

    def failed(self, relay: RelayAddress, now: float) -> None:
        """Learn that a relay did not answer, refused us, or went away."""
        if (candidate := self._candidates.get(relay)) is not None:
            pause = min(MAX_PAUSE, PAUSE * 2**candidate.failures)
            candidate.failures += 1
            candidate.not_before = now + pause * self._rng.uniform(0.75, 1.25)

    def to_try(self, now: float, *, but: Sequence[RelayAddress] = ()) -> list[RelayAddress]:
        """Return the relays to measure now, at most `AT_ONCE`; `but` are those that we have."""
        keys = {relay.public_key for relay in but}
        addresses = {relay.address for relay in but}
        ready = [
            candidate
            for candidate in self._candidates.values()
            if candidate.not_before <= now
            and candidate.relay.public_key not in keys
            and candidate.relay.address not in addresses
        ]
        self._rng.shuffle(ready)  # unmeasured ones have one rank: nobody is first by his name
        ready.sort(key=lambda candidate: candidate.rank)
        return [candidate.relay for candidate in ready[:AT_ONCE]]
