"""A Mainline DHT of one's own: libtorrent sessions on loopback that know each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from net.mainline.session import LOOPBACK, MainlineSession

NODES = 4


@asynccontextmanager
async def mainline_network() -> AsyncIterator[list[MainlineSession]]:
    """Run nodes as strangers would."""
    async with AsyncExitStack() as stack:
        made: list[MainlineSession] = []
        for _ in range(NODES):
            session = MainlineSession([], LOOPBACK, private=True)
            stack.push_async_callback(session.close)
            for other in made:
                session.add_node(("127.0.0.1", other.port))
                other.add_node(("127.0.0.1", session.port))
            made.append(session)
        yield made


def names(sessions: Sequence[MainlineSession]) -> list[str]:
    """Return where nodes are, as "host:port"."""
    return [f"127.0.0.1:{session.port}" for session in sessions]
