"""How a remote feed stands, for people and programs that watch it.

Must not change anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from net.sharing.setbacks import Setback
from net.sharing.swarm import Swarm


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer of a feed."""

    public_key: bytes
    length: int
    """What it claims, without proof."""
    blocks: int
    """Blocks that came from it."""
    bytes: int
    round_trip: float | None
    rate: float
    """Bytes a second, the best of late."""
    in_flight: int
    stalled: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Where a remote feed stands."""

    length: int
    fork: int
    held: int
    """Blocks that are here."""
    data_bytes: int
    """Bytes of blocks received."""
    proof_bytes: int
    """Bytes received besides: hashes, heads, framing of proofs."""
    round_trips: int
    """The longest chain of requests each of which had to wait for the one before."""
    requests: int
    blocks: int
    wasted: int
    """Blocks received twice."""
    peers: tuple[PeerStatus, ...]


def status_of(swarm: Swarm) -> Status:
    """Return lengths, counters and what is known of each peer."""
    core = swarm.core
    counters, standing = core.counters, core.standing
    return Status(
        length=standing.length,
        fork=standing.fork,
        held=len(standing.held),
        data_bytes=counters["data"],
        proof_bytes=counters["proofs"],
        round_trips=core.scheduler.depth,
        requests=counters["requests"],
        blocks=counters["blocks"],
        wasted=counters["wasted"],
        peers=tuple(
            PeerStatus(
                public_key=peer.key,
                length=session.position[1],
                blocks=session.blocks_received,
                bytes=session.bytes_received,
                round_trip=session.link.pace.round_trip,
                rate=session.link.pace.rate,
                in_flight=session.link.pace.in_flight,
                stalled=session.link.stalled,
            )
            for session, peer in swarm.peers.items()
        ),
    )


def tried(swarm: Swarm, attempts: Iterable[Setback]) -> str:
    """Return what was done to find peers, and how it went, in one line."""
    parts = []
    if swarm.peers:
        parts.append(f"{len(swarm.peers)} peers connected")
        parts += [
            f"{peer.key.hex()[:8]} {'does not answer' if session.link.stalled else 'is slow'}"
            if session.link.asked
            else f"{peer.key.hex()[:8]} does not have it"
            for session, peer in swarm.peers.items()
        ]
    parts += dict.fromkeys(map(str, attempts))
    return "; ".join(parts) or "no peer was found yet"
