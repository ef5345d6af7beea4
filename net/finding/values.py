"""A search for a value that somebody publishes under a key: its newest, or all as they come.

Invariant: each value that is yielded has a higher seq than the one before it.
Must not know who is asked, or how.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing

from net.dht.value_records import Value
from net.errors import NotFound


class ValueSearch:
    """What `Node.get` returns: await it, or iterate over it with `async for`.

    Each await and each iteration is a search of its own.
    """

    def __init__(
        self, search: Callable[[], AsyncGenerator[Value]], public_key: bytes, trouble: str
    ) -> None:
        self._search = search
        self._public_key = public_key
        self._trouble = trouble

    def __aiter__(self) -> AsyncGenerator[Value]:
        """Yield what is found, the first at once, and then only what is newer."""
        return self._search()

    def __await__(self) -> Generator[object, None, Value]:
        """Return the newest of all that are found; raises `NotFound`."""
        return self._newest().__await__()

    async def _newest(self) -> Value:
        newest = None
        async with aclosing(self._search()) as values:
            async for value in values:
                newest = value
        if newest is None:
            name = self._public_key.hex()[:16]
            raise NotFound(f"no value of {name} with that salt", [self._trouble or "the DHT"])
        return newest
