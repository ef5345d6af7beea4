"""Real routers: network namespaces, bridges and nftables, for tests that run real processes.

      h1 192.168.1.2 - r1 203.0.113.1 --+
      l1 192.168.1.3 -+                 |   srv 203.0.113.10, .11, .12
      h2 192.168.2.2 - r2 203.0.113.2 --+   o1  203.0.113.21
                                        |   o2  203.0.113.22
                                     (pub)

`set_router` says what r1 and r2 do. A router remembers its flows when that changes, so each test
uses ports of its own. Names carry a prefix, so that several beds stand side by side; leaving the
context removes all, also after a failure half way through building.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

CONE = 'oifname "wan" masquerade'
RULES: dict[str, tuple[str, str, str, str]] = {
    "full cone": (
        CONE,
        'iifname "wan" udp dport 4000-9999 dnat to {host};',
        'iifname "wan" ct status dnat accept;',
        "",
    ),
    "cone": (CONE, "", "", ""),
    "symmetric": (f"{CONE} random,fully-random", "", "", ""),
    "blocked": (CONE, "", "", "ip protocol udp drop;"),
}
"""By kind of router: its rules after and before routing, for forwarding, and for UDP."""

RULESET = """
flush ruleset
table ip nat {{
  chain pre {{ type nat hook prerouting priority -100; {pre} }}
  chain post {{ type nat hook postrouting priority 100; {post}; }}
}}
table ip filter {{
  chain input {{ type filter hook input priority 0; policy accept;
    iifname "wan" ct state established,related accept; iifname "wan" drop; }}
  chain forward {{ type filter hook forward priority 0; policy drop; {udp}
    iifname "lan" accept; iifname "wan" ct state established,related accept; {fwd} }}
}}
"""
# Without the input rule a stray datagram from outside makes an entry of the router's own, and the
# inside's flow to the same address gets another port: net.testing.NatKind.TRAP.

SERVERS = ("203.0.113.10", "203.0.113.11", "203.0.113.12")
ADDRESSES = {
    "h1": "192.168.1.2",
    "l1": "192.168.1.3",
    "h2": "192.168.2.2",
    "o1": "203.0.113.21",
    "o2": "203.0.113.22",
}


class NatBed:
    """The bed; a context manager. Needs root, `ip` and `nft`, and says so when it has not."""

    def __init__(self, prefix: str) -> None:
        missing = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
        if missing or os.geteuid() != 0:
            raise RuntimeError(
                f"the NAT test bed needs root and ip and nft (missing: {missing}): `make system`"
            )
        self._prefix = prefix
        self._made: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def name(self, host: str) -> str:
        """Return the namespace of a host of the picture."""
        return f"{self._prefix}-{host}"

    def command(self, host: str, *command: str) -> list[str]:
        """Return the command line that runs a command on a host."""
        return ["ip", "netns", "exec", self.name(host), *command]

    def set_router(self, number: int, kind: str) -> None:
        """Make r1 or r2 a router of a kind."""
        post, pre, forward, udp = RULES[kind]
        host = ADDRESSES[f"h{number}"]
        rules = RULESET.format(post=post, pre=pre.format(host=host), fwd=forward, udp=udp)
        run(*self.command(f"r{number}", "nft", "-f", "-"), given=rules)

    def _build(self) -> None:
        for host in ("pub", "srv", "r1", "r2", *ADDRESSES):
            run("ip", "netns", "add", self.name(host))
            self._made.append(self.name(host))
            self._ip(host, "link", "set", "lo", "up")
        self._bridge("pub", "br0")
        for host in ("srv", "r1", "r2", "o1", "o2"):
            self._plug(host, "wan", "pub", "br0")
        for address in SERVERS:
            self._ip("srv", "addr", "add", f"{address}/24", "dev", "wan")
        for host in ("o1", "o2"):
            self._ip(host, "addr", "add", f"{ADDRESSES[host]}/24", "dev", "wan")
        for number, hosts in ((1, ("h1", "l1")), (2, ("h2",))):
            router = f"r{number}"
            self._ip(router, "addr", "add", f"203.0.113.{number}/24", "dev", "wan")
            self._bridge(router, "lan")
            self._ip(router, "addr", "add", f"192.168.{number}.1/24", "dev", "lan")
            for host in hosts:
                self._plug(host, "lan", router, "lan")
                self._ip(host, "addr", "add", f"{ADDRESSES[host]}/24", "dev", "lan")
                self._ip(host, "route", "add", "default", "via", f"192.168.{number}.1")
            run(*self.command(router, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
            self.set_router(number, "cone")

    def _bridge(self, host: str, device: str) -> None:
        self._ip(host, "link", "add", device, "type", "bridge")
        self._ip(host, "link", "set", device, "up")

    def _plug(self, host: str, device: str, into: str, bridge: str) -> None:
        peer = f"p-{host}"
        run(
            "ip", "link", "add", device, "netns", self.name(host),
            "type", "veth", "peer", "name", peer, "netns", self.name(into),
        )  # fmt: skip
        self._ip(into, "link", "set", peer, "master", bridge, "up")
        self._ip(host, "link", "set", device, "up")

    def _ip(self, host: str, *arguments: str) -> None:
        run("ip", "-n", self.name(host), *arguments)

    def _remove(self) -> None:
        while self._made:
            subprocess.run(["ip", "netns", "del", self._made.pop()], check=False)


def run(*command: str, given: str | None = None) -> None:
    """Run a command to its end; the error says what it said."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()[:400]}")
