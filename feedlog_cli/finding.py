"""How a command finds peers: through nodes of our DHT, the Mainline DHT, or the local network.

The local network is always asked. Invariant: what a user typed wrong, or has not installed, is
said before anything starts. libtorrent is loaded by those who ask for Mainline, and by nobody else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from feedlog import KeyPair
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.places import check_addresses

if TYPE_CHECKING:
    from net.mainline.discovery import MainlineDiscovery

NODES = "FEEDLOG_MAINLINE_NODES"
"""The variable that names nodes of a Mainline network of one's own, separated by spaces."""


@dataclass(frozen=True)
class Finding:
    """Where a command asks for peers, besides on the local network."""

    bootstrap: Sequence[str]
    mainline: type[MainlineDiscovery] | None = None
    mainline_nodes: Sequence[str] = ()
    """Those to begin with in a private network; with none it is the public one."""

    @property
    def goes_out(self) -> bool:
        """Whether peers beyond the local network are asked."""
        return bool(self.bootstrap) or self.mainline is not None

    def __str__(self) -> str:
        """Return through whom, for people."""
        through = list(self.bootstrap)
        if self.mainline is not None:
            through.append("the Mainline DHT")
        return ", ".join(through) or "the local network; --bootstrap or --mainline asks further"

    @asynccontextmanager
    async def more(self, key_pair: KeyPair) -> AsyncIterator[list[MainlineDiscovery]]:
        """Take part in the Mainline DHT as the owner of a key, where that is asked for."""
        if self.mainline is None:
            yield []
        elif self.mainline_nodes:
            nodes = self.mainline_nodes
            async with self.mainline(key_pair, bootstrap=nodes, private=True) as discovery:
                yield [discovery]
        else:
            async with self.mainline(key_pair) as discovery:
                yield [discovery]


def choose(bootstrap: list[str] | None, *, mainline: bool) -> Finding:
    """Return what the options of a command ask for; raises `CommandError`."""
    addresses = check_addresses(bootstrap)
    return Finding(addresses, load_mainline(), mainline_nodes()) if mainline else Finding(addresses)


def mainline_nodes() -> list[str]:
    """Return the nodes that the variable names; raises `UsageError`, which names it."""
    try:
        return check_addresses(os.environ.get(NODES, "").split())
    except UsageError as error:
        raise UsageError(f"{NODES}: {error}") from None


def load_mainline() -> type[MainlineDiscovery]:
    """Load what depends on libtorrent; says how to install that where it is missing."""
    try:
        module = import_module("net.mainline.discovery")
    except ImportError as error:
        raise CommandError(
            f"--mainline needs libtorrent: pip install libtorrent ({error})"
        ) from None
    found: type[MainlineDiscovery] = module.MainlineDiscovery
    return found
