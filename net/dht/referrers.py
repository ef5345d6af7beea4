"""Who named whom in a crawl, and who lies: nodes whose contacts do not answer.

Invariant: a liar is who named at least `MIN_SILENT`, and more than `SILENT_SHARE`, of those asked
that are silent or somebody else; silence that ends is forgiven. Must not know who is asked next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet

MIN_SILENT = 3
SILENT_SHARE = 0.75
"""A referrer of whom at least so many, and more than this share, of the contacts that were
asked are silent counts as a liar: in an honest network with 30 % dead, 30 % are silent."""


class Referrers:
    """Nodes by id, and how those fared whom they named."""

    def __init__(self) -> None:
        self._good: Counter[bytes] = Counter()
        self._bad: Counter[bytes] = Counter()
        self.liars: set[bytes] = set()

    def answered(self, referrers: AbstractSet[bytes]) -> None:
        """Note that one whom they named has answered."""
        self._good.update(referrers)
        self._judge(referrers, 0)

    def silent(self, referrers: AbstractSet[bytes]) -> None:
        """Note that one whom they named is silent, or not there under this id."""
        self._judge(referrers, 1)

    def forgive(self, referrers: AbstractSet[bytes]) -> None:
        """Note that one whom they named was late, and not silent."""
        self._judge(referrers, -1)

    def _judge(self, referrers: AbstractSet[bytes], silences: int) -> None:
        for referrer in referrers:
            self._bad[referrer] += silences
            bad = self._bad[referrer]
            if bad >= MIN_SILENT and bad > SILENT_SHARE * (bad + self._good[referrer]):
                self.liars.add(referrer)
            else:
                self.liars.discard(referrer)
