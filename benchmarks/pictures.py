"""Draws a report: `python -m benchmarks.pictures REPORT.json DIRECTORY`, or `--pictures DIRECTORY`
of the benchmarks themselves.

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

SAID = """One run of `python -m benchmarks delayed_link --pictures docs/pictures`, one transfer a
cell. Both ends and the link between them share one machine. A transfer that was not done in time
was stopped, and its rate is that of what came until then: a hollow point of the picture."""


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


def links(answers: Answers) -> dict[int, Answers]:
    """Downloads over links with delay, by the size of their blocks."""
    sizes: dict[int, Answers] = {}
    for answer in answers:
        facts = answer["ours"]["facts"]
        if "rtt" in facts and "size" in facts and answer["peers"]:
            sizes.setdefault(facts["size"], []).append(answer)
    return dict(sorted(sizes.items()))


def throughput_rtt(answers: Answers, picture: Path) -> None:
    """Megabytes a second across a link against its round trip, ours and hypercore's."""
    sizes = links(answers)
    if not sizes:
        return
    figure, panels = plt.subplots(1, len(sizes), figsize=(5 * len(sizes), 4), squeeze=False)
    for panel, rows in zip(panels.flat, sizes.values(), strict=True):
        for loss, style in ((0, "-"), (1, "--")):
            chosen = [row for row in rows if row["ours"]["facts"]["loss"] == loss]
            chosen.sort(key=lambda row: float(row["ours"]["facts"]["rtt"]))
            ticks = [f"{row['ours']['facts']['rtt']:g}" for row in chosen]
            curves: dict[str, list[dict[str, Any]]] = {}
            for row in chosen:
                for side in (row["ours"], *row["peers"]):
                    if side["who"] == "feedlog" or side["who"].startswith("hypercore"):
                        curves.setdefault(side["who"], []).append(side)
            for number, (who, sides) in enumerate(curves.items()):
                color, rates = f"C{number}", [side["median"] for side in sides]
                label = f"{who}, {loss} % loss"
                panel.plot(ticks, rates, style, color=color, label=label)
                for tick, side in zip(ticks, sides, strict=True):
                    inside = "white" if side["facts"].get("stopped") else color
                    panel.plot(tick, side["median"], "o", color=color, markerfacecolor=inside)
        title = rows[0]["work"].rsplit(", ", 2)[0]
        panel.set(yscale="log", xlabel="round trip (ms)", ylabel="MB/s", title=title)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="lower center", ncols=2)
    figure.tight_layout(rect=(0, 0.2, 1, 1))
    figure.savefig(picture, metadata={"Date": None})
    print(picture)


def throughput_table(answers: Answers, page: Path) -> None:
    """The same with everybody who was asked, as a table for people."""
    sizes = links(answers)
    if not sizes:
        return
    text = ["# Throughput against round-trip time", "", SAID, ""]
    for rows in sizes.values():
        sides = [side["who"] for side in (rows[0]["ours"], *rows[0]["peers"])]
        text += [f"{rows[0]['work'].rsplit(', ', 2)[0]}, MB/s:", ""]
        text += [f"| round trip, loss | {' | '.join(sides)} |", "|---" * (len(sides) + 1) + "|"]
        for row in rows:
            link = ", ".join(row["work"].rsplit(", ", 2)[1:])
            cells = [_cell(side) for side in (row["ours"], *row["peers"])]
            text.append(f"| {link} | {' | '.join(cells)} |")
        text.append("")
    page.write_text("\n".join(text), encoding="utf-8")
    print(page)


def _cell(side: dict[str, Any]) -> str:
    stopped = side["facts"].get("stopped")
    return f"{side['median']:.3g}" + (f" (stopped after {stopped:g} s)" if stopped else "")


def main(report: Path, directory: Path) -> None:
    """Draw every picture that the report has figures for."""
    answers: Answers = json.loads(report.read_text(encoding="utf-8"))["answers"]
    directory.mkdir(parents=True, exist_ok=True)
    trie_growth(answers, directory / "trie-growth.svg")
    throughput_rtt(answers, directory / "throughput-rtt.svg")
    throughput_table(answers, directory / "throughput-rtt.md")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
