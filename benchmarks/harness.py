"""How the benchmarks measure: our own work in this process, the peers' in Node processes.

A question is a module with `run(bench)` that yields answers (see `benchmarks/report.py`). Every
figure is the result of several runs after one unmeasured warm-up. The peers are pinned in
`benchmarks/peers/package.json`, installed when first needed, and run on the same machine in the
same run: figures from another day are worth little.

Must not know feeds, tries or networks.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.report import Figure

PEERS = Path(__file__).parent / "peers"

PEER_TIMEOUT = 900.0
"""Seconds after which a peer's script is given up: ten million blocks take the slowest minutes."""

LIBRARIES = ("feedlog", "blake3", "cryptography", "lmdb", "msgspec", "noiseprotocol", "pynacl")


class Bench:
    """What a question is given: how much to do, where, and the way to the peers."""

    def __init__(self, *, quick: bool = False, peers: bool = True) -> None:
        self.quick = quick
        self.repeat = 1 if quick else 3
        self._peers = peers

    def size(self, full: int, quick: int) -> int:
        """The amount of work: `full`, or `quick` when only the way is tried."""
        return quick if self.quick else full

    def ours(self, unit: str, work: Callable[[], float]) -> Figure:
        """Run `work` once unmeasured, then as often as a figure needs; it returns the value."""
        settle()
        work()
        return Figure("feedlog", unit, tuple(work() for _ in range(self.repeat)))

    def peer(self, script: str, who: str, **arguments: object) -> tuple[Figure, ...]:
        """Ask a peer the same question: one figure, or none where no peers are wanted."""
        if not self._peers:
            return ()
        given = {"peer": who, "repeat": self.repeat, **arguments}
        settle()
        return (figure_of(run_node(script, given)),)

    @property
    def has_peers(self) -> bool:
        """Whether peers take part at all."""
        return self._peers

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """A directory on disk that goes away with the context."""
        with tempfile.TemporaryDirectory(prefix="feedlog-bench-") as name:
            yield Path(name)


def settle() -> None:
    """Have the system write out what others have left it to: else the next one pays for it.

    A batch of ours took 1.7 times as long while the files of a peer were being written.
    """
    os.sync()


def why_no_peers() -> str | None:
    """Install the peers if need be; say in words why they cannot run, or return None."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"the peers need `{program}`, which is not installed"
    if (PEERS / "node_modules" / ".package-lock.json").exists():
        return None
    print("installing the peers (npm ci) ...", flush=True)
    installed = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=PEERS,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        return f"`npm ci` failed: {installed.stderr.strip().splitlines()[-1:]}"
    return None


def node_command(script: str, arguments: Mapping[str, object]) -> list[str]:
    """The command that runs one of the peers' scripts."""
    return ["node", str(PEERS / script), json.dumps(arguments)]


def run_node(script: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """Run one of the peers' scripts and return the JSON line that it prints."""
    done = subprocess.run(
        node_command(script, arguments),
        capture_output=True,
        text=True,
        timeout=PEER_TIMEOUT,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"{script} {arguments} failed ({done.returncode}): {done.stderr[-800:]}")
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def figure_of(values: Mapping[str, Any]) -> Figure:
    """Make a figure of what one side of a question has printed."""
    facts = {k: v for k, v in values.items() if k not in {"peer", "version", "unit", "runs"}}
    return Figure(values["peer"], values["unit"], tuple(values["runs"]), values["version"], facts)


def machine() -> dict[str, str]:
    """What a reader needs to know to compare figures with another machine's."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next(
            (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), model
        )
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "tcp": _read(Path("/proc/sys/net/ipv4/tcp_congestion_control")),
        "python": platform.python_version(),
        "node": _output("node", "--version"),
        "load": f"{os.getloadavg()[0]:.2f} before the run",
        **{name: _version(name) for name in LIBRARIES},
    }


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip() if path.exists() else "unknown"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
