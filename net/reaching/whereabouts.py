"""Notices that this machine has other addresses than before, or is seen at others.

A laptop wakes up in another network, a cable is pulled, a lease runs out, a router gets another
address. Nothing tells a program so that would work on every system, so we look. Sockets that
listen survive it on Linux, also those on one host when it comes back (docs/adr/0018); what hangs
on them has to be told.

Invariant: `changed` is called once for each look that finds other hosts than the one before, and
`moved` for each that finds another one of this machine. With one fewer there is nothing to do but
to wait: a connection survives that its address is away for a while.
Must not know what a node does at its addresses.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable

from net.addresses import family, reach

INTERVAL = 2.0
"""Seconds between two looks, which cost some twenty system calls each."""

log = logging.getLogger(__name__)


class Whereabouts:
    """Looks at the hosts where a node may be found, and which of them are of this machine.

    Loopback hosts are always of this machine, and used or not: one more has not `moved` it.
    """

    def __init__(
        self,
        hosts: Callable[[], Iterable[str]],
        *,
        changed: Callable[[], None],
        moved: Callable[[], None],
    ) -> None:
        self._hosts = hosts
        self._changed = changed
        self._moved = moved
        self._known: set[str] = set()
        self._here: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._known = set(self._hosts())
        self._here = self._look()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            known, self._known = self._known, set(self._hosts())
            if self._known != known:
                self._changed()
            before, self._here = self._here, self._look()
            gone, come = sorted(before - self._here), sorted(self._here - before)
            if gone:
                log.warning("this machine is not at %s any more", ", ".join(gone))
            if come:
                log.warning("this machine is at %s now", ", ".join(come))
                self._moved()

    def _look(self) -> set[str]:
        try:
            return {host for host in self._known if reach(host) != 0 and is_here(host)}
        except OSError as error:  # this process has no file left to look with, so nothing is news
            log.debug("= no look at the addresses of this machine: %s", error)
            return self._here


def is_here(host: str) -> bool:
    """Tell whether a host, which is a number, is of this machine at the moment."""
    version = socket.AF_INET6 if family((host, 0)) == 6 else socket.AF_INET
    with socket.socket(version, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True
