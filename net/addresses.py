"""Addresses of hosts: the text that people type and the bytes that peers exchange.

An `Address` is (host, port) with the host in its canonical numeric form, so that two
spellings of one host compare equal; an IPv4 address mapped into IPv6 is IPv4 again.
On the wire an address is 4 or 16 bytes and a port (2 bytes, network order): 6 or 18.

Invariant: `unpack_address(pack_address(a)) == a`.
Must not know sockets or names: resolving a name is the shell's work.
Specified in docs/spec/dht.md, section 2.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any, NamedTuple

from feedlog.errors import DecodeError

PACKED_SIZES = (6, 18)
"""Bytes of a packed IPv4 and IPv6 address."""

Address = tuple[str, int]


class RelayAddress(NamedTuple):
    """A relay: whose key it must prove to have, and where it listens (TCP and UDP)."""

    public_key: bytes
    address: Address


CACHED = 8192
"""Conversions kept of each kind: a crawl meets the same few hundred addresses over and over."""

MAX_HOST_LENGTH = 253
"""The longest name in the DNS (RFC 1035, 2.3.4); a longer host is a mistake or an attack."""


@lru_cache(maxsize=CACHED)
def _numeric(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(host)
    return getattr(ip, "ipv4_mapped", None) or ip


def parse_address(text: str) -> Address:
    """Read "host:port" or "[v6 host]:port"; a host name is kept as it is.

    Raises `ValueError` that names the text.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise ValueError(f"an address is host:port or [host]:port, not {text[:60]!r}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 host stands in brackets, [host]:port: {text[:60]!r}")
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"a port lies in 1..65535: {text[:60]!r}")
    if len(host) > MAX_HOST_LENGTH:
        raise ValueError(f"a host has at most {MAX_HOST_LENGTH} characters, not {len(host)}")
    return host, int(port)


def format_address(address: Address) -> str:
    """Write an address as people and `parse_address` read it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_numeric(host: str) -> bool:
    """Tell whether the host is an IP address rather than a name."""
    try:
        _numeric(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=CACHED)
def canonical(address: tuple[Any, ...]) -> Address:
    """Return the one form of an address as a socket reports it.

    Raises `ValueError` for a name and for a link-local address with a scope, which
    means nothing on another machine.
    """
    ip = _numeric(address[0])
    if getattr(ip, "scope_id", None) is not None:
        raise ValueError(f"{address[0]} is valid on one link only")
    return str(ip), address[1]


@lru_cache(maxsize=CACHED)
def family(address: Address) -> int:
    """Return 4 or 6; raises `ValueError` for a name."""
    return _numeric(address[0]).version


@lru_cache(maxsize=CACHED)
def pack_address(address: Address) -> bytes:
    """Return the 6 or 18 bytes of a numeric address; raises `ValueError` for a name."""
    host, port = canonical(address)
    if not 0 <= port <= 65535:
        raise ValueError(f"a port lies in 0..65535, not {port}")
    return _numeric(host).packed + port.to_bytes(2, "big")


@lru_cache(maxsize=CACHED)
def unpack_address(data: bytes) -> Address:
    """Read what `pack_address` wrote; raises `DecodeError`."""
    if len(data) not in PACKED_SIZES:
        raise DecodeError("address", len(data), "an address has 6 or 18 bytes")
    ip = ipaddress.ip_address(data[:-2])
    if getattr(ip, "ipv4_mapped", None) is not None:
        raise DecodeError("address", 0, "an IPv4 address mapped into IPv6")
    return str(ip), int.from_bytes(data[-2:], "big")


@lru_cache(maxsize=CACHED)
def subnet(host: str) -> bytes:
    """Return what one owner commonly holds whole: the /24 of an IPv4 host, the /48 of IPv6."""
    packed = _numeric(host).packed
    return packed[:3] if len(packed) == 4 else packed[:6]


@lru_cache(maxsize=CACHED)
def reach(host: str) -> int:
    """Return how far an address means the same: 0 this machine, 1 a private network, 2 anywhere.

    -1 for what is no host's address: multicast, unspecified, reserved.
    """
    ip = _numeric(host)
    if ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
        return -1
    if ip.is_loopback:
        return 0
    return 2 if ip.is_global else 1


@lru_cache(maxsize=CACHED)
def area(address: Address) -> bytes | None:
    """Return the part of the network that is taken for one owner when answers are counted.

    The subnet of a public host, the host itself in a private network, where strangers
    cannot send from, and None for this machine, which may run a whole test network.
    """
    far = reach(address[0])
    if far == 0:
        return None
    return _numeric(address[0]).packed if far == 1 else subnet(address[0])
