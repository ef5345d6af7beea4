"""The nodes through which one joins: those that were named, and those known from another time.

A name may lead nowhere while this machine is offline, and elsewhere later; so it is asked for
again while nobody is known.

Invariant: a name that leads nowhere now takes nothing away of where it has led before.
Must not know who answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from net.addresses import Address, canonical, is_numeric, parse_address

NAMES_AGAIN = 15.0
"""Seconds between two looks at where names of bootstrap nodes lead, while nobody is known: as often
as the nodes themselves are asked again."""


class Bootstrap:
    """`names` as "host:port", and `known` addresses; `reaches` tells which of them we can ask."""

    def __init__(
        self, names: Sequence[str], known: Sequence[Address], reaches: Callable[[Address], bool]
    ) -> None:
        given = [parse_address(text) for text in names]
        self.names = tuple(names)
        self._given = bool(names or known)
        self._reaches = reaches
        self._numeric = [canonical(name) for name in given if is_numeric(name[0])]
        self._numeric += [address for address in known if reaches(address)]
        self._named = [name for name in given if not is_numeric(name[0])]
        self._found: list[Address] = []

    def __bool__(self) -> bool:
        """Whether any were given."""
        return self._given

    @property
    def addresses(self) -> list[Address]:
        """Where the nodes are, as far as this is known by now."""
        return [*self._numeric, *self._found]

    @property
    def has_names(self) -> bool:
        """Whether there is anything to `resolve`."""
        return bool(self._named)

    async def resolve(self) -> bool:
        """Ask where the names lead now; tells whether that is elsewhere than before."""
        loop = asyncio.get_running_loop()
        asked = (loop.getaddrinfo(*name) for name in self._named)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = dict.fromkeys(
            canonical(info[4])
            for infos in answers
            if not isinstance(infos, BaseException)
            for info in infos
        )
        reached = [address for address in found if self._reaches(address)]
        elsewhere = bool(reached) and reached != self._found
        self._found = reached or self._found
        return elsewhere

    async def watch(self, alone: Callable[[], bool], moved: Callable[[], object]) -> None:
        """While nobody is known, ask where the names lead: this machine may be online only now."""
        while True:
            await asyncio.sleep(NAMES_AGAIN)
            if alone() and await self.resolve():
                moved()
