"""A bed with a `member` process on each host that a test asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

from tests.natbed.bed import SERVERS, NatBed

ROOT = Path(__file__).parent.parent.parent

SERVER_PORT = 7000
IPV4 = {"host": "0.0.0.0", "lan": False}


class MemberProcess:
    """One process; `ask` has it do something and waits for the answer."""

    def __init__(self, bed: NatBed, host: str, stack: ExitStack) -> None:
        command = bed.command(host, sys.executable, "-m", "tests.natbed.member")
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stack.callback(self._end)
        self.started = False

    def tell(self, *command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        if not self.started:
            assert self._process.stdout.readline() == "READY\n"
            self.started = True
        return json.loads(self._process.stdout.readline())

    def ask(self, *command: Any) -> Any:
        self.tell(*command)
        return self.answer()

    def _end(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait()


class Members:
    """The processes, and the nodes on `srv` that the others bootstrap from."""

    def __init__(
        self, bed: NatBed, stack: ExitStack, *, servers: Sequence[str] = SERVERS, **options: Any
    ) -> None:
        self.bed = bed
        self._stack = stack
        self._members: dict[str, MemberProcess] = {}
        self._ports = count(4000)
        self.bootstrap: list[str] = self.on("srv").ask("serve", list(servers), SERVER_PORT, options)

    def on(self, host: str) -> MemberProcess:
        """Return the process on a host, started now if it is not there yet."""
        if host not in self._members:
            self._members[host] = MemberProcess(self.bed, host, self._stack)
        return self._members[host]

    def place(self, number: int, kind: str) -> MemberProcess:
        """Return a process behind a router of a kind, or in the open."""
        if kind == "open":
            return self.on(f"o{number}")
        self.bed.set_router(number, kind)
        return self.on(f"h{number}")

    def port(self) -> int:
        """Return a port of its own for a node: routers remember the flows of earlier ones."""
        return next(self._ports)

    def listen(self, member: MemberProcess, **options: Any) -> str:
        """Have a node listen; returns its key."""
        key: str = member.ask("listen", self.bootstrap, self.port(), {**IPV4, **options})
        return key

    def start(self, member: MemberProcess, **options: Any) -> None:
        """Have a node ready to connect. Nobody shall count on it, for it is gone soon."""
        options = {**IPV4, "ephemeral": True, **options}
        member.ask("start", self.bootstrap, self.port(), options)

    def connect(self, member: MemberProcess, key: str, **options: Any) -> dict[str, Any]:
        """Have a new node connect, and say what came of it."""
        self.start(member, **options)
        found: dict[str, Any] = member.ask("connect", key, 20.0)
        return found
