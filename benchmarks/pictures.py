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

GROWTH = ("blocks per cold get", "bytes of blocks per cold get", "get", "put one at a time")


def trie_growth(answers: Answers, picture: Path) -> None:
    """Costs of a trie against its number of keys."""
    curves = {
        what: [a["ours"] for a in answers if a["work"].endswith(f"keys: {what}")] for what in GROWTH
    }
    if not any(curves.values()):
        return
    figure, panels = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3.2))
    for panel, (what, points) in zip(panels, curves.items(), strict=True):
        panel.plot([p["facts"]["keys"] for p in points], [p["median"] for p in points], marker="o")
        panel.set(xscale="log", xlabel="keys", ylim=(0, None), title=what)
        panel.set_ylabel(points[0]["unit"])
    figure.tight_layout()
    figure.savefig(picture)
    print(picture)


def main(report: Path, directory: Path) -> None:
    """Draw every picture that the report has figures for."""
    answers: Answers = json.loads(report.read_text(encoding="utf-8"))["answers"]
    directory.mkdir(parents=True, exist_ok=True)
    trie_growth(answers, directory / "trie-growth.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
