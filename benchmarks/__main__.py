"""`python -m benchmarks [names] [--json FILE] [--pictures DIRECTORY] [--quick] [--no-peers]`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import (
    append_batch,
    append_single,
    connect,
    delayed_link,
    delayed_stream,
    delayed_trie,
    disk_size,
    memory,
    open_large,
    prove,
    read_random,
    remote_get,
    replicate,
    stream,
    trie_get,
    trie_growth,
    trie_iterate,
    trie_put,
    trie_put_batch,
    udp_stream,
    write_amplification,
)
from benchmarks.harness import Bench, machine, why_no_peers
from benchmarks.report import Answer, document, table

QUESTIONS: dict[str, Callable[[Bench], Iterable[Answer]]] = {
    "append_single": append_single.run,
    "append_batch": append_batch.run,
    "read_random": read_random.run,
    "prove": prove.run,
    "open_large": open_large.run,
    "disk_size": disk_size.run,
    "write_amplification": write_amplification.run,
    "trie_put": trie_put.run,
    "trie_put_batch": trie_put_batch.run,
    "trie_get": trie_get.run,
    "trie_iterate": trie_iterate.run,
    "trie_growth": trie_growth.run,
    "replicate": replicate.run,
    "remote_get": remote_get.run,
    "delayed_link": delayed_link.run,
    "delayed_trie": delayed_trie.run,
    "connect": connect.run,
    "stream": stream.run,
    "udp_stream": udp_stream.run,
    "delayed_stream": delayed_stream.run,
    "memory": memory.run,
}


def main(arguments: list[str] | None = None) -> int:
    """Ask the questions and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure feedlog beside the real peers, in one run on this machine.",
    )
    parser.add_argument("names", nargs="*", help=f"questions: {', '.join(QUESTIONS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to FILE")
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIRECTORY",
        help="draw what can be drawn; needs matplotlib",
    )
    parser.add_argument("--quick", action="store_true", help="little work, one run: no figures")
    parser.add_argument("--no-peers", action="store_true", help="measure our side only")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in QUESTIONS]
    if unknown:
        parser.error(f"no question is called {unknown[0]}; there are {', '.join(QUESTIONS)}")

    without = "they are not wanted" if options.no_peers else why_no_peers()
    if without:
        print(f"no peers: {without}", file=sys.stderr)
    bench = Bench(quick=options.quick, peers=not without)
    about = machine()
    answers: list[Answer] = []
    for name in options.names or QUESTIONS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        answers += QUESTIONS[name](bench)
    print("\n".join(f"{key}: {value}" for key, value in about.items()), end="\n\n")
    print(table(answers))
    report = json.dumps(document(answers, about), indent=1)
    if options.json:
        options.json.write_text(report, encoding="utf-8")
    if options.pictures:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            file.write(report)
            file.flush()
            draw = [sys.executable, "-m", "benchmarks.pictures", file.name, str(options.pictures)]
            return subprocess.run(draw, check=False).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
