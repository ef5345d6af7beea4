"""Fuzz replication with atheris, for as long as one likes.

python -m tests.fuzz [libFuzzer's options, for example -max_total_time=60]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["net.replicate", "feedlog"]):
    from tests.fuzz.replication import Conversations, seeds


def main() -> None:
    conversations = Conversations()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(len(conversations.recorded))):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], conversations.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
