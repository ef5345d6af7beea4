"""The values that this node publishes, and when to have them held anew.

Invariant: at most `MAX_KEPT_VALUES`; the numbers of what one owner publishes without naming any
rise, also when the time of day goes back. Must not know who holds a value.
Specified in docs/spec/dht.md, section 11.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from feedlog.keys import KeyPair
from net.dht.value_records import VALUE_LIFETIME, Value, sign_value

RENEW_VALUE_AFTER = 2400.0
"""Seconds after which a value is held anew: a third of its life, so two may fail."""

RETRY_VALUE_AFTER = 60.0
"""Seconds after which a value that nobody holds is tried again."""

MAX_KEPT_VALUES = 256


@dataclass(slots=True)
class _Kept:
    key_pair: KeyPair
    value: Value
    due: float
    cas: int | None
    """The seq that it is to replace, while nobody holds it; it has then."""
    is_held: bool = False


class KeptValues:
    """What owners of keys have this node publish."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._kept: dict[bytes, _Kept] = {}
        self._seq = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, topic: bytes) -> Value | None:
        """Return the value that is kept under a topic."""
        kept = self._kept.get(topic)
        return None if kept is None else kept.value

    def sign(
        self, key_pair: KeyPair, content: bytes, salt: bytes, seq: int | None, unix: float
    ) -> Value:
        """Sign a value; without a `seq` with one that is higher than all before."""
        if seq is None:
            seq = self._seq = max(int(unix * 1000), self._seq + 1)
        expiry = int(unix) + VALUE_LIFETIME
        return sign_value(key_pair, content, salt=salt, seq=seq, expiry=expiry)

    def check_room(self, topics: Iterable[bytes]) -> None:
        """Raise `ValueError` when there is no place for values under all these topics, too."""
        if len({*self._kept, *topics}) > MAX_KEPT_VALUES:
            raise ValueError(f"a node keeps at most {MAX_KEPT_VALUES} values published")

    def keep(self, key_pair: KeyPair, value: Value, now: float, cas: int | None = None) -> None:
        """Renew a value from now on, in place of an older one of its topic.

        Until somebody holds it, it is to replace the one with the seq `cas` only.
        """
        kept = self._kept.get(value.topic)
        if kept is None or kept.value.seq <= value.seq:
            self._kept[value.topic] = _Kept(key_pair, value, now + RETRY_VALUE_AFTER, cas)

    def held(self, value: Value, holders: int, now: float) -> None:
        """Note how many hold a value: an older one of its topic is not renewed any more."""
        kept = self._kept.get(value.topic)
        if kept is None:
            return
        if kept.value.same(value):
            wait = RENEW_VALUE_AFTER if holders else RETRY_VALUE_AFTER
            kept.due = now + wait * self._rng.uniform(0.9, 1.0)
            kept.is_held = holders > 0
            kept.cas = None if holders else kept.cas
        elif kept.value.seq < value.seq:
            del self._kept[value.topic]

    def refused(self, value: Value) -> None:
        """Note that another value counts: this one is not renewed any more.

        An older one goes on to be: if it is too old as well, its renewal is refused, too.
        """
        kept = self._kept.get(value.topic)
        if kept is not None and kept.value.same(value):
            del self._kept[value.topic]

    def hurry(self, now: float, *, held_too: bool = False) -> None:
        """Have what nobody holds, or everything, held anew at once."""
        for kept in self._kept.values():
            if held_too or not kept.is_held:
                kept.due = now

    def due(self, now: float, unix: float) -> list[tuple[Value, int | None]]:
        """Return what is to be held anew, each with its `cas`: the same, with a later expiry."""
        renewed = []
        for kept in self._kept.values():
            if kept.due <= now:
                kept.due = now + RETRY_VALUE_AFTER
                old, expiry = kept.value, int(unix) + VALUE_LIFETIME
                kept.value = sign_value(
                    kept.key_pair, old.value, salt=old.salt, seq=old.seq, expiry=expiry
                )
                renewed.append((kept.value, kept.cas))
        return renewed
