"""Draws a report: `python -m benchmarks.pictures REPORT.json DIRECTORY`.

Needs the extra `bench`; nothing else of the benchmarks does, so that the tests can import them.
A picture whose question is not in the report is not drawn.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib import (  # type: ignore[import-not-found, unused-ignore]  # only with the extra
    pyplot as plt,
)

Answers = list[dict[str, Any]]

# Text stays text, and the same report gives the same bytes.
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "feedlog"})

GROWTH = (
    "blocks per cold get",
    "bytes of blocks per cold get",
    "bytes of a proof",
    "bytes of a block written by a put",
    "disk space per key",
    "get",
    "put one at a time",
    "put in batches",
)


def trie_growth(answers: Answers, picture: Path) -> None:
    """Costs of a trie against its number of keys, ours and, where they took part, the peers'."""
    curves = {what: [a for a in answers if a["work"].endswith(f"keys: {what}")] for what in GROWTH}
    if not any(curves.values()):
        return
    figure, panels = plt.subplots(2, len(curves) // 2, figsize=(14, 6.4))
    for panel, (what, rows) in zip(panels.flat, curves.items(), strict=True):
        lines: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            for side in (row["ours"], *row["peers"]):
                lines.setdefault(side["who"], []).append(side)
        for who, points in lines.items():
            keys = [point["facts"]["keys"] for point in points]
            panel.plot(keys, [point["median"] for point in points], marker="o", label=who)
        panel.set(xscale="log", xlabel="keys", title=what, ylabel=rows[0]["ours"]["unit"])
        panel.set_ylim(bottom=0)
        panel.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})
    print(picture)


def delayed_link(answers: Answers, picture: Path) -> None:
    """Blocks a second across a link against its round trip, ours and the peers'."""
    chosen = [a for a in answers if a["ours"]["facts"].get("loss") == 0 and a["peers"]]
    if not chosen:
        return
    chosen.sort(key=lambda a: float(a["ours"]["facts"]["rtt"]))
    round_trips = [a["ours"]["facts"]["rtt"] for a in chosen]
    figure, panel = plt.subplots(figsize=(6, 4))
    panel.plot(round_trips, [a["ours"]["median"] for a in chosen], marker="o", label="feedlog")
    for place, peer in enumerate(chosen[0]["peers"]):
        rates = [a["peers"][place]["median"] for a in chosen]
        panel.plot(round_trips, rates, marker=".", linestyle="--", label=peer["who"])
    panel.set(yscale="log", xlabel="round trip (ms)", ylabel="blocks of 1 KiB a second")
    panel.legend()
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})
    print(picture)


def main(report: Path, directory: Path) -> None:
    """Draw every picture that the report has figures for."""
    answers: Answers = json.loads(report.read_text(encoding="utf-8"))["answers"]
    directory.mkdir(parents=True, exist_ok=True)
    trie_growth(answers, directory / "trie-growth.svg")
    delayed_link(answers, directory / "delayed-link.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
