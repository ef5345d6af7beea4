"""What is started and closed, as an async context manager.

    async with Node(store) as node: ...          # or: await node.start(), await node.close()

Invariant: what a start has opened is closed, also when the start fails half way.
Must not know what is started.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Lifetime(ABC):
    """The two ends of a life; a subclass says what they are."""

    @abstractmethod
    async def start(self) -> object:
        """Begin. A subclass may have something to say of how it went."""

    @abstractmethod
    async def close(self) -> None:
        """End, also what has begun only in part. Closing twice is harmless."""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
