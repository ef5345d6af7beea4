"""Real routers: network namespaces, bridges and nftables, for tests that run real processes.

      h1 192.168.1.2 - r1 203.0.113.1 --+
      l1 192.168.1.3 -+                 |   srv 203.0.113.10, .11, .12
      h2 192.168.2.2 - r2 203.0.113.2 --+   o1  203.0.113.21
      h3 192.168.3.2 - r3 203.0.113.3 --+   o2  203.0.113.22
                                     (pub)

`set_router` says what a router does with IPv4; r3 begins as one that lets no UDP pass. A router
remembers its flows when that changes, so each test uses ports of its own. Each host has an IPv6
address, too, that ends as its IPv4 one does; with IPv6 a router translates nothing, and lets in
what belongs to a flow that began inside.

Names carry a prefix, so that several beds stand side by side; leaving the context removes all,
also after a failure half way through building.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from types import TracebackType
from typing import Self

CONE = 'oifname "wan" masquerade'
REJECT = 'iifname "wan" meta l4proto tcp reject with tcp reset;'
RULES: dict[str, tuple[str, str, str, str, str]] = {
    "full cone": (
        CONE,
        'iifname "wan" udp dport 4000-9999 dnat to {host};',
        'iifname "wan" ct status dnat accept;',
        "",
        "",
    ),
    "cone": (CONE, "", "", "", ""),
    "rejecting": (CONE, "", "", "", REJECT),
    "symmetric": (f"{CONE} random,fully-random", "", "", "", ""),
    "blocked": (CONE, "", "", "ip protocol udp drop;", ""),
}
"""By kind of router: its rules after and before routing, for forwarding, for UDP, and for what is
for the router itself: a SYN that nobody inside has asked for."""

RULESET = """
flush ruleset
table ip nat {{
  chain pre {{ type nat hook prerouting priority -100; {pre} }}
  chain post {{ type nat hook postrouting priority 100; {post}; }}
}}
table ip filter {{
  chain input {{ type filter hook input priority 0; policy accept;
    iifname "wan" ct state established,related accept; {tcp} iifname "wan" drop; }}
  chain forward {{ type filter hook forward priority 0; policy drop; {udp}
    iifname "lan" accept; iifname "wan" ct state established,related accept; {fwd} }}
}}
"""
RULESET_6 = """
table ip6 filter {
  chain forward { type filter hook forward priority 0; policy drop;
    iifname "lan" accept; iifname "wan" ct state established,related accept; }
}
"""
# Without the input rule a stray datagram from outside makes an entry of the router's own, and the
# inside's flow to the same address gets another port: net.testing.NatKind.TRAP.

SERVERS = ("203.0.113.10", "203.0.113.11", "203.0.113.12")
SERVERS_6 = ("2001:db8::10", "2001:db8::11", "2001:db8::12")
ADDRESSES = {
    "h1": "192.168.1.2",
    "l1": "192.168.1.3",
    "h2": "192.168.2.2",
    "h3": "192.168.3.2",
    "o1": "203.0.113.21",
    "o2": "203.0.113.22",
}

LANS = {1: ("h1", "l1"), 2: ("h2",), 3: ("h3",)}


def address_6(host: str) -> str:
    """Return the IPv6 address of a host behind a router."""
    _, _, number, last = ADDRESSES[host].split(".")
    return f"2001:db8:{number}::{last}"


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
        """Make a router one of a kind."""
        post, pre, forward, udp, tcp = RULES[kind]
        host = ADDRESSES[f"h{number}"]
        rules = RULESET.format(post=post, pre=pre.format(host=host), fwd=forward, udp=udp, tcp=tcp)
        run(*self.command(f"r{number}", "nft", "-f", "-"), given=rules + RULESET_6)

    def forget_after(self, number: int, seconds: int) -> None:
        """Have a router forget the UDP flows that are silent for so long."""
        for kind in ("", "_stream"):
            setting = f"net.netfilter.nf_conntrack_udp_timeout{kind}={seconds}"
            run(*self.command(f"r{number}", "sysctl", "-qw", setting))

    def plug_in(self, host: str, number: int | None = None) -> None:
        """Make the interface of a host behind a router, with its addresses and its way out.

        It is the router of the picture, if none is named.
        """
        _, _, home, last = ADDRESSES[host].split(".")
        number = number or int(home)
        self._plug(host, "lan", f"r{number}", "lan")
        self._address(host, "lan", f"192.168.{number}.{last}")
        self._address(host, "lan", f"2001:db8:{number}::{last}")
        for gate in (f"192.168.{number}.1", f"2001:db8:{number}::1"):
            self._ip(host, "route", "add", "default", "via", gate)

    def _build(self) -> None:
        for host in ("pub", "srv", *(f"r{number}" for number in LANS), *ADDRESSES):
            run("ip", "netns", "add", self.name(host))
            self._made.append(self.name(host))
            self._ip(host, "link", "set", "lo", "up")
        self._bridge("pub", "br0")
        for host in ("srv", "o1", "o2", *(f"r{number}" for number in LANS)):
            self._plug(host, "wan", "pub", "br0")
        for address in (*SERVERS, *SERVERS_6):
            self._address("srv", "wan", address)
        for host in ("o1", "o2"):
            self._address(host, "wan", ADDRESSES[host])
            self._address(host, "wan", f"2001:db8::{ADDRESSES[host].rpartition('.')[2]}")
        for number, hosts in LANS.items():
            self._build_lan(number, hosts)
        for outside in ("srv", "o1", "o2", *(f"r{number}" for number in LANS)):
            for number in LANS:
                if outside != f"r{number}":
                    lan = f"2001:db8:{number}::/64"
                    self._ip(outside, "route", "add", lan, "via", f"2001:db8::{number}")

    def _build_lan(self, number: int, hosts: tuple[str, ...]) -> None:
        router = f"r{number}"
        self._address(router, "wan", f"203.0.113.{number}")
        self._address(router, "wan", f"2001:db8::{number}")
        self._bridge(router, "lan")
        for gate in (f"192.168.{number}.1", f"2001:db8:{number}::1"):
            self._address(router, "lan", gate)
        for host in hosts:
            self.plug_in(host)
        for setting in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            run(*self.command(router, "sysctl", "-qw", f"net.{setting}=1"))
        self.set_router(number, "blocked" if number == 3 else "cone")

    def _address(self, host: str, device: str, address: str) -> None:
        if ":" in address:  # the kernel would try it out for a second first
            self._ip(host, "addr", "add", f"{address}/64", "dev", device, "nodad")
        else:
            self._ip(host, "addr", "add", f"{address}/24", "dev", device)

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
