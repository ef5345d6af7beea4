"""A trie as one reads it: a mapping, at one version or always at the latest.

Every method looks at one version from beginning to end; a live view takes the
feed's length when it is called. Nothing here waits: a block that is not held
raises feedlog's `BlockMissing`, and the call can be repeated when it is here.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Unpack

from feedlog import Feed, Proof
from trie import history, listing
from trie.codecs import Codec, named
from trie.compact import compact_into, dead_blocks
from trie.core import Core, State
from trie.differences import Differences
from trie.entries import Change, Entry
from trie.get import find
from trie.header import Header
from trie.keyspace import Keyspace
from trie.listing import Query
from trie.node import Node
from trie.nodes import Nodes
from trie.prove import TrieProof, range_query
from trie.selection import How, Items, Keys, Selection, Values
from trie.walk import DEFAULT_LIMIT, Read, touched, walk
from trie.watch import Watch

Name = tuple[str | bytes, Codec | None, Codec | None]
"""A sub-database's name and codecs; None for those of what it is part of."""


class View(Mapping[Any, Any]):
    """What can be read of a trie. Made by `Trie`, `at` and `sub`."""

    def __init__(self, core: Core, *, pinned: int | None, names: tuple[Name, ...]) -> None:
        """Look at a version, or at the latest one if `pinned` is None, below some names."""
        self._core = core
        self._pinned = pinned
        self._names = names
        self._known = core.template, self._keyspace(core.template)

    def __repr__(self) -> str:
        """Show the feed and the version."""
        return f"<{type(self).__name__} of feed {self.feed.id} version={self.version}>"

    # State.

    @property
    def feed(self) -> Feed:
        """The feed that holds the trie."""
        return self._core.feed

    @property
    def version(self) -> int:
        """The length of the feed that is looked at: 0 for a trie that nobody wrote to."""
        return self._core.latest() if self._pinned is None else self._pinned

    @property
    def header(self) -> Header:
        """What was chosen at the trie's creation; raises `NotATrie`."""
        return self._core.header(self.version)

    def _look(self) -> State:
        """Return the version to work on."""
        version, space = self._where()
        core = self._core
        root = core.latest_root(version) if self._pinned is None else core.root(version)
        return State(version, root, core.nodes, space)

    def _where(self) -> tuple[int, Keyspace]:
        """Return the version to work on, and how its keys and values are encoded."""
        core = self._core
        version = core.latest()
        if self._pinned is not None:
            if self._pinned > version:
                raise ValueError(f"version {self._pinned} is gone: the feed was truncated")
            version = self._pinned
        header = core.header(version)
        if header is not self._known[0]:
            self._known = header, self._keyspace(header)
        return version, self._known[1]

    def _keyspace(self, header: Header) -> Keyspace:
        """Return how keys and values are encoded below this view's names."""
        space = Keyspace(b"", header.keys, header.values)
        for name, keys, values in self._names:
            space = space.sub(name, keys, values)
        return space

    # One key.

    def _find(self, key: Any) -> tuple[Keyspace, Node | None]:
        version, space = self._where()
        raw = space.encode_key(key)
        core = self._core
        root = core.latest_root(version) if self._pinned is None else core.root(version)
        if root is None:
            return space, None
        return space, find(core.nodes, root, core.nodes.paths.path(raw))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key, or `default` if it is absent."""
        space, node = self._find(key)
        return default if node is None else space.value(self._core.nodes, node)

    def __getitem__(self, key: Any) -> Any:
        """Return the value of a key; raises `KeyError`."""
        space, node = self._find(key)
        if node is None:
            raise KeyError(key)
        return space.value(self._core.nodes, node)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key has a value."""
        return self._find(key)[1] is not None

    def entry(self, key: Any) -> Entry | None:
        """Return a key with its value and the version that wrote it, or None."""
        space, node = self._find(key)
        return None if node is None else space.entry(self._core.nodes, node)

    def walk(self, key: Any, *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that `get(key)` reads, up to `limit`, as far as they are held here.

        This is what a serving peer sends for a key. Listings have the same: `items(...).walk()`.
        Raises `BlockMissing` where not even the header is held.
        """
        version, space = self._where()
        raw = space.encode_key(key)
        return walk(self._core.nodes, version, _lookup(raw), limit)

    # Many keys.

    def __len__(self) -> int:
        """Return the number of keys, as the writer counted them."""
        return self.count()

    def count(self, prefix: str | bytes = "") -> int:
        """Return the number of keys under a prefix, without listing them."""
        _, root, nodes, space = self._look()
        return listing.length(nodes, root, Query(space.encode_prefix(prefix)))

    def walk_count(self, prefix: str | bytes = "", *, limit: int = DEFAULT_LIMIT) -> list[int]:
        """Return the blocks that `count(prefix)` reads; see `walk`."""
        version, space = self._where()
        query = Query(space.encode_prefix(prefix))

        def read(nodes: Nodes, root: Node) -> None:
            listing.length(nodes, root, query)

        return walk(self._core.nodes, version, read, limit)

    def __iter__(self) -> Iterator[Any]:
        """Yield all keys; see `items`."""
        return iter(self.keys())

    def items(
        self,
        prefix: str | bytes = "",
        *,
        recursive: bool = True,
        reverse: bool = False,
        after: Any = None,
        limit: int | None = None,
    ) -> Items:
        """List the keys under a prefix with their values.

        Under "a/" are the keys that begin with "a/"; under "a" is the key "a" as well;
        under "" is everything. The order is that of hashes, always the same, or with
        order="key" that of the keys. With `recursive=False` keys that go on below the
        next "/" are listed as one name, which ends with "/" and has the value None.
        `after` is the last key of an earlier listing, from which to go on.
        """
        selection = self._selection(
            prefix, recursive=recursive, reverse=reverse, after=after, limit=limit
        )
        return Items(self, selection)

    def keys(self, prefix: str | bytes = "", **how: Unpack[How]) -> Keys:
        """List keys alone; takes what `items` takes. Values are not read."""
        return Keys(self, self._selection(prefix, **how))

    def values(self, prefix: str | bytes = "", **how: Unpack[How]) -> Values:
        """List values alone; takes what `items` takes."""
        return Values(self, self._selection(prefix, **how))

    def range(
        self,
        start: Any = None,
        stop: Any = None,
        *,
        reverse: bool = False,
        after: Any = None,
        limit: int | None = None,
    ) -> Items:
        """List the keys from `start` to before `stop` in the order of their bytes.

        Either may be None: from the first, or to the last. Raises `ValueError` for a
        trie in the order of hashes, which has no ranges.
        """
        version, space = self._where()
        query = Query(
            space.prefix,
            start=None if start is None else space.encode_key(start),
            stop=None if stop is None else space.encode_key(stop),
            after=None if after is None else space.encode_key(after),
            reverse=reverse,
            limit=limit,
        )
        query.check(self._core.header(version))
        return Items(self, Selection(self._look, self._where, self._core.nodes, query))

    def _selection(
        self,
        prefix: str | bytes,
        *,
        recursive: bool = True,
        reverse: bool = False,
        after: Any = None,
        limit: int | None = None,
    ) -> Selection:
        _, space = self._where()
        query = Query(
            space.encode_prefix(prefix),
            after=None if after is None else space.encode_key(after),
            recursive=recursive,
            reverse=reverse,
            limit=limit,
        )
        return Selection(self._look, self._where, self._core.nodes, query)

    # Versions.

    def at(self, version: int) -> View:
        """Return the trie as it was at a version, to be read only.

        Raises `ValueError` for a version that does not exist, or lies inside a batch.
        """
        latest = self.version
        if not 0 <= version <= latest:
            raise ValueError(f"version {version} is not in 0..{latest}")
        if version < latest:
            self._core.root(version)
        return View(self._core, pinned=version, names=self._names)

    def diff(
        self,
        other: View | int,
        prefix: str | bytes = "",
        *,
        after: Any = None,
        limit: int | None = None,
    ) -> Differences:
        """Return each key under a prefix that was written between this version and another.

        `left` is what this version has, `right` what the other has, which is a version
        of the same trie. Takes time in proportion to the difference. `after` is the last
        key of an earlier iteration over the same difference, from which to go on. Raises
        `ValueError` for a version that does not exist.
        """
        if isinstance(other, View) and other.feed is not self.feed:
            raise ValueError("only versions of one trie can be compared")
        theirs = other.version if isinstance(other, View) else other
        if not 0 <= theirs <= self.feed.length:
            raise ValueError(f"version {theirs} is not in 0..{self.feed.length}")
        return Differences(
            self._core, self._look, self._where, self._keyspace, theirs, prefix, after, limit
        )

    def history(
        self,
        prefix: str | bytes = "",
        *,
        since: int = 0,
        reverse: bool = False,
        live: Callable[[], bool] | None = None,
    ) -> Iterator[Change]:
        """Yield each put and delete under a prefix after version `since`, oldest first.

        With `live` it goes on with what is still to come: it calls `live` whenever all
        has been told, which waits until the feed may have grown, and ends when that
        returns False.
        """
        if live is not None:
            if reverse or self._pinned is not None:
                raise ValueError("only the history of the latest version, forwards, can be live")
            watch = self.watch(prefix, since=since)
            yield from watch
            while live():
                yield from watch
            return
        version, _, nodes, space = self._look()
        raw = space.encode_prefix(prefix)
        read = history.backwards if reverse else history.forwards
        for node in read(nodes, since, version):
            if history.selects(raw, node.key):
                yield space.change(nodes, node)

    def watch(self, prefix: str | bytes = "", *, since: int | None = None) -> Watch:
        """Return what tells of each change under a prefix after version `since`: now, by default.

        Iterate it, or `poll` it, whenever the feed may have grown.
        """
        return Watch(self._core, self._keyspace, prefix, self.version if since is None else since)

    # Proofs.

    def prove(self, key: Any) -> TrieProof:
        """Prove that a key has its value, or that it is absent; see `check_trie_proof`.

        Raises `BlockMissing` where this copy lacks a block, `ValueError` for a trie
        that nobody wrote to or a version without a signed head.
        """
        version, space = self._where()
        raw = space.encode_key(key)
        return TrieProof(self._multiproof(version, _lookup(raw)), key=raw)

    def prove_range(
        self, prefix: str | bytes = "", *, start: Any = None, stop: Any = None
    ) -> TrieProof:
        """Prove all keys under a prefix, or from `start` to before `stop` in key order.

        See `check_trie_range`. Raises as `prove` does, and `ValueError` for a listing that
        takes more than the 4096 ranges of blocks that one proof may have: prove it in parts.
        """
        version, space = self._where()
        query = range_query(self._core.header(version), space, prefix, start, stop)

        def read(recording: Nodes, root: Node) -> None:
            for node in listing.select(recording, root, query):
                assert isinstance(node, Node), "a recursive listing has no directories"
                recording.value(node)

        proof = self._multiproof(version, read)
        return TrieProof(proof, prefix=query.prefix, start=query.start, stop=query.stop)

    def _multiproof(self, version: int, read: Read) -> Proof:
        if not version:
            raise ValueError("nothing was written to this trie yet, so nothing can be proven")
        return self.feed.prove(touched(self._core.nodes, version, read), length=version)

    # Space.

    def compact_into(self, feed: Feed) -> None:
        """Write what this version holds to an empty feed, as a trie with the same header.

        The whole trie, also from a sub-database. Share the feed when this has returned:
        it takes several writes. Raises `ValueError` for a feed that is not empty.
        """
        if self.version:
            compact_into(self._look(), feed)

    def dead_blocks(self) -> list[builtins.range]:
        """Return the blocks that this version does not need: `feed.clear` frees their space.

        Clearing them takes history and older versions from this copy.
        """
        version, _ = self._where()
        return dead_blocks(self._core.nodes, version) if version else []

    # Parts.

    def sub(
        self, name: str | bytes, *, key_codec: str | None = None, value_codec: str | None = None
    ) -> View:
        """Return the keys that begin with `name` and "/" as a trie of its own.

        Its keys lack that beginning. Codecs other than the trie's are the reader's to know:
        no header names them.
        """
        return View(
            self._core, pinned=self._pinned, names=self._named(name, key_codec, value_codec)
        )

    def _named(
        self, name: str | bytes, key_codec: str | None, value_codec: str | None
    ) -> tuple[Name, ...]:
        keys = None if key_codec is None else named(key_codec)
        values = None if value_codec is None else named(value_codec)
        Keyspace(b"", self._core.template.keys, self._core.template.values).sub(name, keys, values)
        return (*self._names, (name, keys, values))


def _lookup(raw: bytes) -> Read:
    """Return what reads a key and its value."""

    def read(nodes: Nodes, root: Node) -> None:
        node = find(nodes, root, nodes.paths.path(raw))
        if node is not None:
            nodes.value(node)

    return read
