"""What the commands that talk to peers share: a node, a patient download, and remarks.

Invariant: nothing waits longer than the user's timeout without anything coming in, and
what is said then names what was tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from feedlog import Store
from feedlog_cli.errors import CommandError
from feedlog_cli.finding import Finding
from feedlog_cli.output import note, plural, printable
from feedlog_cli.trie_hints import EXTENSION, TrieHints
from net import DeadlineError, NetError, Node, Remote, Setback, SetbackKind

TIMEOUT = 20.0
"""Seconds that a command looks for peers, or waits for the next block, by default."""

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is shared is for everybody who has its key

WATCH_INTERVAL = 0.1
"""Seconds between two looks at what became of attempts to find peers."""


@asynccontextmanager
async def serving(
    store: Store, finding: Finding, *, hosts: Sequence[str], port: int, contacts: Path
) -> AsyncIterator[Node]:
    """Run a node that stays, and answers the questions of readers of tries."""
    bootstrap = finding.bootstrap
    async with finding.more(store.key_pair("node")) as more:
        node = Node(store, bootstrap=bootstrap, host=hosts, port=port, contacts=contacts, more=more)
        node.extension(EXTENSION, TrieHints())
        async with node:
            yield node


@asynccontextmanager
async def visiting(store: Store, finding: Finding) -> AsyncIterator[Node]:
    """Run a node for one errand: others shall not count on it when it is gone again.

    Without bootstrap nodes it knows those on the local network. Raises `NetError` at once
    when there are bootstrap nodes and none answers, unless there is Mainline to ask.
    """
    async with finding.more(store.key_pair("node")) as more:
        node = Node(store, bootstrap=finding.bootstrap, more=more, ephemeral=True)
        node.extension(EXTENSION, TrieHints())
        async with node:
            if node.trouble and not more:
                raise NetError(node.trouble)
            if node.trouble:
                note(f"= {node.trouble}")
            yield node


@asynccontextmanager
async def following(
    node: Node, key: bytes, *, said: set[str] | None = None
) -> AsyncIterator[Remote]:
    """Follow a feed, with remarks on stderr about peers that turn out to be of no use.

    `said` is shared by feeds of one command, so that nothing is said twice.
    """
    remote = await node.follow(key)
    seen = set() if said is None else said
    watcher = asyncio.create_task(_watch(remote, seen))
    try:
        yield remote
    finally:
        watcher.cancel()
        _remark(remote, seen)
        await remote.close()


async def _watch(remote: Remote, seen: set[str]) -> None:
    while True:
        await asyncio.sleep(WATCH_INTERVAL)
        _remark(remote, seen)


def _remark(remote: Remote, seen: set[str]) -> None:
    for setback in tuple(remote.attempts):
        remark = for_people(setback)
        if remark and remark not in seen:
            seen.add(remark)
            note(f"= {remark}")


def for_people(setback: Setback) -> str:
    """Return what a setback means to a user; nothing for what is usual."""
    if setback.kind in {SetbackKind.UNANNOUNCED, SetbackKind.BANNED}:
        return ""  # an error says the first, if it matters; the second follows from a refusal
    if setback.kind is SetbackKind.FALSE_PROOF:
        return f"refused peer {setback.name}: what it sent is not what the writer signed"
    return printable(str(setback))


@contextmanager
def explaining(remote: Remote, finding: Finding, seconds: float) -> Iterator[None]:
    """Say it plainly when a deadline passed because nobody announces the feed."""
    try:
        yield
    except DeadlineError as error:
        unannounced = SetbackKind.UNANNOUNCED
        if remote.status().peers or any(one.kind is not unannounced for one in remote.attempts):
            raise
        raise CommandError(
            f"nobody announces {remote.feed.id}: asked {plural(remote.searches, 'time')} "
            f"in {seconds:g} s, through {finding}"
        ) from error


async def download(
    remote: Remote,
    blocks: Iterable[int] | None,
    progress: Callable[[int, int], None],
    seconds: float,
) -> None:
    """Bring blocks here; raises `CommandError` when nothing has come for some time."""
    loop = asyncio.get_running_loop()
    moved = loop.time()

    def moving(done: int, total: int) -> None:
        nonlocal moved
        moved = loop.time()
        progress(done, total)

    task = asyncio.create_task(remote.download(blocks, progress=moving))
    try:
        while not task.done():
            left = moved + seconds - loop.time()
            if left <= 0:
                raise CommandError(f"nothing came for {seconds:g} s: {remote.tried()}")
            await asyncio.wait({task}, timeout=left)
        task.result()
    finally:
        task.cancel()
