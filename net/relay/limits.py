"""How much a relay does for others, and how a circuit's bytes are counted against it.

A relay that a home connection can bear, and that one stranger cannot fill: the defaults
allow 64 circuits, four to a peer. Every refusal names the limit that was reached.

Must not know streams or clocks. Specified in docs/spec/relay.md, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from net.relay.messages import Limits


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What a relay gives; every number is a positive one."""

    reservations: int = 256
    """Peers that may wait here at once: an idle secure stream each, some 50 KiB."""
    circuits: int = 64
    """In all, those that wait for an answer included: up to 2 MiB of buffers each."""
    circuits_per_peer: int = 4
    """That one key takes part in, at either end."""
    pending_per_peer: int = 4
    """That wait for one reserving peer to answer."""
    circuit_bytes: int = 1 << 30
    """Both directions of one circuit together."""
    circuit_rate: int = 4 << 20
    """Bytes a second of one circuit, both directions together."""
    circuit_seconds: int = 3600
    circuit_idle: int = 180
    """Seconds without a byte in either direction: one of the ends is gone."""
    requests_per_peer: int = 16
    """Questions to the DHT that one stream has under way."""

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self)):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"a relay's limit of {name} is at least 1, not {value}")

    @property
    def of_circuit(self) -> Limits:
        """What the two ends of a circuit are told."""
        return Limits(
            self.circuit_bytes, self.circuit_rate, self.circuit_seconds, self.circuit_idle
        )


class Meter:
    """Counts the bytes of one circuit.

    `take` says how long to stop reading so that the rate is kept; a burst of one second's
    worth goes through at once.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._started = now
        self._credit = float(limits.rate)
        self._last = now
        self.carried = 0

    def take(self, size: int, now: float) -> float:
        """Count bytes that are passed on; return the seconds in which no more are read."""
        self.carried += size
        rate = self._limits.rate
        self._credit = min(rate, self._credit + (now - self._last) * rate) - size
        self._last = now
        return max(0.0, -self._credit / rate)

    def ends_at(self) -> float:
        """Return when the circuit ends if nothing more is carried."""
        return min(self._started + self._limits.seconds, self._last + self._limits.idle)

    def exceeded(self, now: float, *, early: float = 0.0) -> str:
        """Return the limit that the circuit has reached, for people; empty for none.

        `early` seconds before the time, for an end whose count lags behind the relay's.
        """
        limits = self._limits
        ahead = min(early * limits.rate, limits.size / 100)
        if self.carried + ahead >= limits.size:
            return f"it carried {self.carried} bytes, limit {limits.size}"
        if now + early - self._started >= limits.seconds:
            return f"it stood for {limits.seconds} s, the limit"
        if now + early - self._last >= limits.idle:
            return f"it carried nothing for {limits.idle} s, the limit"
        return ""
