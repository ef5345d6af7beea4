"""What the benchmarks report: figures, targets, ratios, and the table that holds them.

An answer holds our figure, the figures of real peers measured in the same run on the same
machine, and the targets. A figure is the median of its runs; the spread is kept beside it.

Invariant: a ratio says how many times better we are, whichever way the unit points, and a target
that is missed is printed as missed. A target whose peer did not run is printed as unknown:
nothing is left out of the table.

Knows numbers. Must not know how they were measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DISTURBED = 0.4
"""A spread beyond which something else used the machine, and the report says so."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one implementation reached, run by run."""

    who: str
    unit: str
    runs: tuple[float, ...]
    version: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.runs)

    @property
    def spread(self) -> float:
        """(greatest - least) / median: how far to trust the figure."""
        return (max(self.runs) - min(self.runs)) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Times:
    """Be `factor` times as good as `peer`, or as the best peer if none is named."""

    factor: float
    peer: str | None = None

    def __str__(self) -> str:
        return f"{self.factor:g} x {self.peer or 'the best'}"


@dataclass(frozen=True, slots=True)
class Limit:
    """Reach a figure of our own, whatever the peers do."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{_short(self.value)} {self.unit}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of the report: a piece of work, our figure, the peers' and the targets."""

    work: str
    ours: Figure
    peers: tuple[Figure, ...] = ()
    targets: tuple[Times | Limit, ...] = ()
    lower_is_better: bool = False
    note: str = ""

    def ratio(self, peer: Figure) -> float:
        """How many times better than this peer we are."""
        if self.lower_is_better:
            return peer.median / self.ours.median if self.ours.median else float("inf")
        return self.ours.median / peer.median if peer.median else float("inf")

    def best_peer(self) -> Figure | None:
        """The peer that is hardest to beat."""
        return min(self.peers, key=self.ratio, default=None)

    def concerns(self, target: Times | Limit, peer: Figure) -> bool:
        """Whether a target speaks of this peer."""
        if isinstance(target, Limit):
            return False
        return peer is self.best_peer() if target.peer is None else peer.who == target.peer

    def met(self, target: Times | Limit) -> bool | None:
        """Whether a target is reached; None where the peer that it names did not run."""
        if isinstance(target, Limit):
            if self.lower_is_better:
                return self.ours.median <= target.value
            return self.ours.median >= target.value
        peer = next((figure for figure in self.peers if self.concerns(target, figure)), None)
        return None if peer is None else self.ratio(peer) >= target.factor


def _short(value: float) -> str:
    """Three significant digits, as a person writes them."""
    if value == float("inf"):
        return "inf"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def rows(answers: Iterable[Answer]) -> Iterator[tuple[str, ...]]:
    """One line a peer, and one a target that no line of a peer could hold."""
    for answer in answers:
        ours = _figure_text(answer.ours)
        lines = list(_comparisons(answer)) or [("", "", "", "", "")]
        yield (answer.work, ours, *lines[0])
        yield from (("", "", *line) for line in lines[1:])


def _comparisons(answer: Answer) -> Iterator[tuple[str, str, str, str, str]]:
    """Cells of each line: peer, its figure, the ratio, targets, verdicts."""
    left = list(answer.targets)
    for peer in answer.peers:
        mine = [target for target in left if answer.concerns(target, peer)]
        left = [target for target in left if target not in mine]
        yield (
            f"{peer.who} {peer.version}".strip(),
            _figure_text(peer),
            f"{answer.ratio(peer):.2f}",
            "; ".join(map(str, mine)),
            "; ".join(_verdict(answer.met(target)) for target in mine),
        )
    for target in left:
        yield ("", "", "", str(target), _verdict(answer.met(target)))


def _figure_text(figure: Figure) -> str:
    """The figure, and whether the time was up before the work was done."""
    stopped = figure.facts.get("stopped")
    mark = f" (stopped after {stopped:g} s)" if stopped else ""
    return f"{_short(figure.median)} {figure.unit}{mark}"


def _verdict(met: bool | None) -> str:
    return "unknown" if met is None else "met" if met else "MISSED"


def table(answers: Sequence[Answer]) -> str:
    """The report as text: fixed columns, misses in capitals, notes and doubts below."""
    head = ("work", "ours", "peer", "theirs", "ratio", "target", "")
    lines = [head, *rows(answers)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    ]
    text.insert(1, "  ".join("-" * w for w in widths))
    text += [f"{answer.work}: {answer.note}" for answer in answers if answer.note]
    text += [
        f"{answer.work}: the runs of {figure.who} differ by {figure.spread:.0%}: measure again"
        for answer in answers
        for figure in (answer.ours, *answer.peers)
        if figure.spread > DISTURBED
    ]
    return "\n".join(text)


def document(answers: Sequence[Answer], about: Mapping[str, str]) -> dict[str, Any]:
    """The report as JSON values, every run included."""
    return {
        "machine": dict(about),
        "answers": [
            {
                "work": answer.work,
                "ours": _figure(answer.ours),
                "peers": [{**_figure(p), "ratio": answer.ratio(p)} for p in answer.peers],
                "targets": [{"target": str(t), "met": answer.met(t)} for t in answer.targets],
                "lower_is_better": answer.lower_is_better,
                "note": answer.note,
            }
            for answer in answers
        ],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "who": figure.who,
        "version": figure.version,
        "unit": figure.unit,
        "median": figure.median,
        "spread": figure.spread,
        "runs": list(figure.runs),
        "facts": dict(figure.facts),
    }
