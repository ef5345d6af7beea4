"""Names within names: a part of a store that an application has to itself.

    app = store.namespace("app")
    app.feed("log") is not store.feed("log")
    app.namespace("cache").feed("log")

A namespace has a secret of its own, derived from the one around it, hence feeds and
key pairs that share nothing with those of the same name elsewhere; and its feeds are
listed under it. Everything lies in the one storage of the store. Specified in
docs/spec/store.md.

Knows names. Must not know how feeds are kept.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from feedlog.feed import Feed
from feedlog.keys import KeyPair, encode_id
from feedlog.manifest import Manifest


@dataclass(frozen=True, slots=True)
class FeedInfo:
    """A line of a store's listing."""

    key: bytes
    name: str | None
    length: int
    writable: bool
    namespace: tuple[str, ...] = ()
    """The namespaces that the name is in, outermost first."""

    @property
    def id(self) -> str:
        """The key as people write it."""
        return encode_id(self.key)


class Root(Protocol):
    """What a namespace asks of the store that it is a part of."""

    def key_pair(self, name: str, *, namespace: tuple[str, ...] = ()) -> KeyPair:
        """Return the key pair of a name."""

    def feed(
        self,
        name: str | None = None,
        *,
        key: bytes | None = None,
        manifest: Manifest | None = None,
        key_pair: KeyPair | None = None,
        encryption_key: bytes | None = None,
        namespace: tuple[str, ...] = (),
    ) -> Feed:
        """Open a feed."""

    def feeds(self) -> list[FeedInfo]:
        """List all feeds."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make several changes one."""


class Namespace:
    """A store as one namespace sees it. Made by `Store.namespace`."""

    def __init__(self, store: Root, path: tuple[str, ...]) -> None:
        """Take the store, and the names from the outermost in."""
        for name in path:
            if not name:
                raise ValueError("a namespace's name has at least one character")
        self.store = store
        self.path = path

    def __repr__(self) -> str:
        """Show the names."""
        return f"<Namespace {'/'.join(map(repr, self.path))}>"

    def namespace(self, name: str) -> Namespace:
        """Return a namespace within this one."""
        return Namespace(self.store, (*self.path, name))

    def key_pair(self, name: str) -> KeyPair:
        """Return the key pair that this namespace gives to a name."""
        return self.store.key_pair(name, namespace=self.path)

    def feed(
        self,
        name: str | None = None,
        *,
        key: bytes | None = None,
        manifest: Manifest | None = None,
        key_pair: KeyPair | None = None,
        encryption_key: bytes | None = None,
    ) -> Feed:
        """Open a feed, making it where there is none; see `Store.feed`.

        A feed that is opened without a name is in no namespace.
        """
        return self.store.feed(
            name,
            key=key,
            manifest=manifest,
            key_pair=key_pair,
            encryption_key=encryption_key,
            namespace=self.path,
        )

    def feeds(self) -> list[FeedInfo]:
        """List the feeds of this namespace and of those within it, oldest first."""
        depth = len(self.path)
        return [info for info in self.store.feeds() if info.namespace[:depth] == self.path]

    def transaction(self) -> AbstractContextManager[None]:
        """Make all changes inside the block one; see `Store.transaction`."""
        return self.store.transaction()
