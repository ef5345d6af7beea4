"""The values that this node publishes, and when to have them held anew.

Invariant: at most `MAX_KEPT_VALUES`; the numbers of what one owner publishes without naming any
rise, also when the time of day goes back. Must not know who holds a value.
Specified in docs/spec/dht.md, section 11.
"""

from __future__ import annotations

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
    before: _Kept | None = None
    """What is kept instead if others refuse this, until one has taken it."""


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

    def keep(self, key_pair: KeyPair, value: Value, now: float, cas: int | None = None) -> None:
        """Renew a value from now on, in place of what was kept under its topic.

        Until somebody holds it, it is to replace the one with the seq `cas` only.

        Raises `ValueError` when so many are kept that there is no place for another.
        """
        before = self._kept.get(value.topic)
        if before is None and len(self._kept) >= MAX_KEPT_VALUES:
            raise ValueError(f"a node keeps at most {MAX_KEPT_VALUES} values published")
        if before is not None and before.before is not None:
            before = before.before  # the one between them has not been taken yet either
        due = now + RETRY_VALUE_AFTER
        self._kept[value.topic] = _Kept(key_pair, value, due, cas, before=before)

    def held(self, value: Value, holders: int, refused: bool, now: float) -> None:
        """Note how many hold a value, or that another one counts.

        The one before it is kept again then: if it is too old as well, its renewal is refused.
        """
        kept = self._kept.get(value.topic)
        if kept is None:
            return
        if not kept.value.same(value):
            if not refused and kept.value.seq < value.seq:
                del self._kept[value.topic]  # a newer one was put, which is not to be kept
        elif not refused:
            wait = RENEW_VALUE_AFTER if holders else RETRY_VALUE_AFTER
            kept.due, kept.before = now + wait * self._rng.uniform(0.9, 1.0), None
            kept.is_held = holders > 0
            kept.cas = None if holders else kept.cas
        elif kept.before is not None:
            self._kept[value.topic] = kept.before
        else:
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
