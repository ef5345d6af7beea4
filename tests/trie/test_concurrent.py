"""Several processes write one trie: nothing is lost, and one of two rivals wins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from feedlog import Store
from trie import Trie

WRITERS = 3
INCREMENTS = 40

WRITER = """
import sys
from feedlog import Store
from trie import ConditionFailed, Trie

path, name, increments = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store(path, durability="relaxed") as store:
    trie = Trie(store.feed("shared"), value_codec="json")
    print("ready", flush=True)
    sys.stdin.readline()
    won = deleted = 0
    for number in range(increments):
        try:
            trie.put(f"slot/{number}", name, if_absent=True)
            won += 1
        except ConditionFailed:
            pass
        while True:
            entry = trie.entry("counter")
            try:
                trie.put("counter", entry.value + 1, if_version=entry.version)
                break
            except ConditionFailed:
                pass
        entry = trie.entry(f"bait/{number}")
        try:
            if entry is not None:
                trie.delete(f"bait/{number}", if_version=entry.version)
                deleted += 1
        except ConditionFailed:
            pass
        with trie.batch() as batch:
            batch["total"] = batch["total"] + 1
            batch[f"{name}/{number}"] = number
print(won, deleted)
"""


def test_rivals_in_several_processes(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Store(path, durability="relaxed") as store:
        trie = Trie(store.feed("shared"), value_codec="json")
        trie["counter"] = 0
        trie["total"] = 0
        trie.update({f"bait/{number}": "" for number in range(INCREMENTS)})
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), f"writer{number}", str(INCREMENTS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(WRITERS)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        outputs = []
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            outputs.append(process.communicate()[0])
            assert process.returncode == 0
        won = [int(output.split()[0]) for output in outputs]
        assert sum(won) == INCREMENTS
        assert sum(int(output.split()[1]) for output in outputs) == INCREMENTS
        assert trie.count("bait/") == 0
        assert trie["counter"] == trie["total"] == WRITERS * INCREMENTS
        for number, wins in enumerate(won):
            slots = [value for _, value in trie.items("slot/")]
            assert slots.count(f"writer{number}") == wins
            assert len(trie.keys(f"writer{number}/")) == INCREMENTS
        changes = WRITERS * INCREMENTS * 3 + INCREMENTS * 3 + 2
        assert sum(1 for _ in trie.history()) == changes
