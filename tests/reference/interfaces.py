"""A network interface that a test plugs in and pulls out. Needs root and `ip`."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import Self


class Interface:
    """One with a host of its own, from the range for measurements (RFC 2544)."""

    def __init__(self) -> None:
        self.name = f"fl{os.getpid()}"
        self.host = f"198.18.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"

    def plug_in(self) -> None:
        self._ip("link", "add", self.name, "type", "veth", "peer", "name", f"{self.name}p")
        for end in (self.name, f"{self.name}p"):
            self._ip("link", "set", end, "up")
        self._ip("addr", "add", f"{self.host}/32", "dev", self.name)

    def pull_out(self) -> None:
        self._ip("link", "del", self.name)

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pull_out()

    def _ip(self, *arguments: str) -> None:
        subprocess.run(("ip", *arguments), check=True)
