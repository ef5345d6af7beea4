"""Fuzz with atheris, for as long as one likes.

python -m tests.fuzz replication|decoders [libFuzzer's options, for example -max_total_time=60]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["net", "feedlog", "trie"]):
    from tests.fuzz.decoders import Decoders
    from tests.fuzz.replication import Conversations


def main() -> None:
    fuzzed = Decoders() if sys.argv.pop(1) == "decoders" else Conversations()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(fuzzed.seeds()):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], fuzzed.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
