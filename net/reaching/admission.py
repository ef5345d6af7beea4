"""Who of those that come may come in: places for handshakes, a line before them, a share for each.

    arrive(address, now) -> Guest, or None: turned away
    established(guest, now)   left(guest, now)   handle_timeout(now)
    next_event() -> Admitted(guest): begin its handshake, Displaced(guest): end it

A stranger has a *place* while its handshake runs, waits in the *line* for one, or is in.
One owner's addresses (`net.addresses.area`) have a share of each only. A handshake that has
taken GRACE is slow, and whoever comes after it may displace it: of the owner himself where
his share is used up, of the owner with most places where all are. So those who connect and
say nothing are out of the way after a second, and those who come in a crowd, a thousand at
once, have their turn one after another. The last to come is the first of its line: behind those
who keep silent nobody would ever have a turn, and the first of a long line have given up.

Keys that are `ban`ned are remembered for a time, and only so many of them.

Invariant: no count exceeds its limit, and a guest that has left is counted nowhere.
Sans-I/O. Must not know carriers, streams, or what a handshake is.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum, auto

from net.addresses import Address, area, canonical

MAX_HANDSHAKES = 128
"""Places. Each costs a few KiB; more at once would only make each take longer."""
MAX_HANDSHAKES_SHARE = 32
"""Places of one owner."""
GRACE = 1.5
"""Seconds in which a handshake is not displaced: one round trip and a lost packet."""

MAX_LINE = 2048
"""Those who wait for a place; each costs a socket and 20 KiB, nothing of them is read."""
MAX_LINE_SHARE = 1024
"""A crowd may come from one address, that of a router."""

PATIENCE = 10.0
"""Seconds in the line after which a guest is turned away: nobody waits for an answer longer."""

MAX_INSIDE = 2048
"""Established connections: 150 MB when nothing happens on them."""
MAX_INSIDE_SHARE = 1536
"""Established connections of one owner; others still come in."""

SPARE_FILES = 64
"""Files of the process that guests do not get: the store's, our own connections, the user's."""
FILES_SHARE = 0.75
"""Part of the files for guests that one owner may have."""

BAN = 600.0
"""Seconds for which a peer that broke a rule is not dealt with."""
MAX_BANNED = 1024
"""Keys cost nothing to make: the oldest is forgotten for the newest."""


class Stage(Enum):
    """How far a guest has come."""

    WAITING = auto()
    SHAKING = auto()
    INSIDE = auto()
    GONE = auto()


class Guest:
    """Somebody who has come; the shell keeps it with the carrier."""

    __slots__ = ("owner", "since", "stage")

    def __init__(self, owner: bytes) -> None:
        self.owner = owner
        self.stage = Stage.GONE
        self.since = 0.0
        """When it came to the line, or its handshake began."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The guest has a place: begin its handshake."""

    guest: Guest


@dataclass(frozen=True, slots=True)
class Displaced:
    """The guest has lost its place, or there will be none: end its handshake or its waiting."""

    guest: Guest


class Admission:
    """The door of a node.

    `inside` is how many established connections it has room for, `files` how many files the
    process may open: every guest takes one.
    """

    def __init__(self, *, inside: int = MAX_INSIDE, files: int | None = None) -> None:
        self.counters: Counter[str] = Counter()
        """What was refused, and why."""
        self._limits = {
            Stage.WAITING: (MAX_LINE, MAX_LINE_SHARE),
            Stage.SHAKING: (MAX_HANDSHAKES, MAX_HANDSHAKES_SHARE),
            Stage.INSIDE: (inside, min(inside, MAX_INSIDE_SHARE)),
        }
        self._files = None if files is None else max(1, files - SPARE_FILES)
        self._all: Counter[Stage] = Counter()
        self._shares: Counter[tuple[Stage, bytes]] = Counter()
        self._lines: dict[bytes, deque[Guest]] = {}
        self._shaking: dict[Guest, None] = {}
        self._events: deque[Admitted | Displaced] = deque()
        self._banned: dict[bytes, float] = {}

    # Guests.

    def arrive(self, address: Address | None, now: float) -> Guest | None:
        """Take note of somebody who comes from an address, None for a way that has none.

        The answer None turns him away; a guest waits for its `Admitted`, which may be there.
        """
        guest = Guest(owner_of(address))
        if not self._has_files(guest.owner):
            self.counters["files"] += 1
            return None
        if not self._has_room(Stage.INSIDE, guest.owner, also=Stage.SHAKING):
            self.counters["connections"] += 1
            return None
        if guest.owner not in self._lines and self._make_room(guest.owner, now):
            self._admit(guest, now)
        elif self._has_room(Stage.WAITING, guest.owner):
            guest.since = now
            self._enter(guest, Stage.WAITING)
            self._lines.setdefault(guest.owner, deque()).append(guest)
            self._advance(now)
        else:
            self.counters["line"] += 1
            return None
        return guest

    def established(self, guest: Guest, now: float) -> None:
        """Learn that a handshake is done: its place is free, and the guest is in."""
        if guest.stage is Stage.SHAKING:
            del self._shaking[guest]
            self._enter(guest, Stage.INSIDE)
            self._advance(now)

    def left(self, guest: Guest, now: float) -> None:
        """Learn that a guest is gone, whatever it was about. A second time changes nothing."""
        if guest.stage is Stage.WAITING:
            self._lines[guest.owner].remove(guest)
            if not self._lines[guest.owner]:
                del self._lines[guest.owner]
        self._shaking.pop(guest, None)
        self._enter(guest, Stage.GONE)
        self._advance(now)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` has something to do with those who wait."""
        if not self._lines:
            return None
        due = min(line[0].since for line in self._lines.values()) + PATIENCE
        if self._shaking:
            due = min(due, next(iter(self._shaking)).since + GRACE)
        return due

    def handle_timeout(self, now: float) -> None:
        """Let those who wait take the places of those who are slow, or turn them away."""
        for who, line in list(self._lines.items()):
            while line and now - line[0].since >= PATIENCE:
                self._displace(line.popleft(), "patience")
            if not line:
                del self._lines[who]
        self._advance(now)

    def next_event(self) -> Admitted | Displaced | None:
        """Return what the shell has to do, None when that is all for now."""
        return self._events.popleft() if self._events else None

    def count(self, stage: Stage) -> int:
        """How many guests have come so far and no further."""
        return self._all[stage]

    # Keys.

    def ban(self, key: bytes, now: float) -> None:
        """Have nothing to do with a key for a time."""
        self._banned.pop(key, None)
        self._banned[key] = now + BAN
        while len(self._banned) > MAX_BANNED:
            del self._banned[next(iter(self._banned))]

    def is_banned(self, key: bytes, now: float) -> bool:
        """Tell whether a key is banned now."""
        return self._banned.get(key, now) > now

    # Places.

    def _enter(self, guest: Guest, stage: Stage) -> None:
        if guest.stage is not Stage.GONE:
            self._count(guest, guest.stage, -1)
        guest.stage = stage
        if stage is not Stage.GONE:
            self._count(guest, stage, 1)

    def _count(self, guest: Guest, stage: Stage, by: int) -> None:
        self._all[stage] += by
        share = stage, guest.owner
        self._shares[share] += by
        if not self._shares[share]:
            del self._shares[share]

    def _has_room(self, stage: Stage, owner: bytes, also: Stage | None = None) -> bool:
        """Tell whether one more fits; those in `also` are about to come and count, too."""
        everyone, each = self._limits[stage]
        stages = (stage,) if also is None else (stage, also)
        return (
            sum(self._all[s] for s in stages) < everyone
            and sum(self._shares[s, owner] for s in stages) < each
        )

    def _has_files(self, owner: bytes) -> bool:
        if self._files is None or self._all.total() < FILES_SHARE * self._files:
            return True
        share = sum(self._shares[stage, owner] for stage in self._limits)
        return self._all.total() < self._files and share < FILES_SHARE * self._files

    def _advance(self, now: float) -> None:
        """Give places to those who wait: one of each owner in turn, the last to come first."""
        moved = True
        while moved:
            moved = False
            for who in list(self._lines):
                full = not self._has_room(Stage.INSIDE, who, also=Stage.SHAKING)
                if not full and not self._make_room(who, now):
                    continue
                line = self._lines.pop(who)
                if full:
                    self._displace(line.pop(), "connections")
                else:
                    self._admit(line.pop(), now)
                if line:
                    self._lines[who] = line
                moved = True

    def _admit(self, guest: Guest, now: float) -> None:
        self._enter(guest, Stage.SHAKING)
        guest.since = now
        self._shaking[guest] = None
        self._events.append(Admitted(guest))

    def _make_room(self, owner: bytes, now: float) -> bool:
        """Tell whether there is a place, having displaced somebody slow if need be."""
        if self._has_room(Stage.SHAKING, owner):
            return True
        victim = self._slow(owner, now)
        if victim is None:
            return False
        self._displace(victim, "displaced")
        return True

    def _displace(self, guest: Guest, why: str) -> None:
        self.counters[why] += 1
        self._events.append(Displaced(guest))
        self._shaking.pop(guest, None)
        self._enter(guest, Stage.GONE)

    def _slow(self, owner: bytes, now: float) -> Guest | None:
        """Return the slowest of the owner whose share is used up, or of him with most places."""
        if now - next(iter(self._shaking)).since < GRACE:
            return None
        if self._shares[Stage.SHAKING, owner] < MAX_HANDSHAKES_SHARE:
            owners = Counter(guest.owner for guest in self._shaking)
            owner = max(owners, key=owners.__getitem__)
        victim = next(guest for guest in self._shaking if guest.owner == owner)
        return victim if now - victim.since >= GRACE else None


def owner_of(address: Address | None) -> bytes:
    """Return the part of the network that is taken for one owner: `area`, or this very host."""
    if address is None:
        return b""
    host = canonical(address)
    return area(host) or host[0].encode()
