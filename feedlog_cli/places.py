"""From what a user types to what it means: the store's directory, a feed in it, a key.

Every failure here is the user's to mend, so each message says what to type instead.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

from feedlog import Feed, Store, decode_id
from feedlog_cli.errors import CommandError, UsageError
from net.addresses import parse_address

NAMES_SHOWN = 8
"""A message that lists a store's feeds stays one line."""


def store_path(given: Path | None) -> Path:
    """Return the directory of the store: as given, or where the XDG specification has data."""
    if given is not None:
        return given
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The specification has relative paths ignored.
    if data.is_absolute():
        return data / "feedlog"
    try:
        return Path.home() / ".local" / "share" / "feedlog"
    except RuntimeError:  # no HOME, and the system does not know the user
        raise CommandError(
            "this user has no home directory: name the store with --store or FEEDLOG_STORE"
        ) from None


def open_store(given: Path | None, *, create: bool = False, read_only: bool = False) -> Store:
    """Open the store; says which command makes one where there is none."""
    path = store_path(given)
    if not create and not path.exists():
        raise CommandError(f"there is no store at {path}; `feedlog create NAME` makes one")
    return Store(path, create=create, read_only=read_only)


def parse_key(text: str) -> bytes:
    """Return the 32 bytes of a key that the user typed."""
    try:
        return decode_id(text)
    except ValueError as error:
        raise UsageError(f"{error}; `feedlog create` prints keys") from None


def find_feed(store: Store, text: str) -> Feed:
    """Return the feed of the store with this name or key; never makes one."""
    known = store.feeds()
    key = parse_key(text) if looks_like_key(text) else None
    for info in known:
        if text == info.name or key == info.key:
            return store.feed(key=info.key)
    names = [info.name or info.id for info in known]
    listed = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
    raise CommandError(
        f"the store has no feed {text!r}; it has {listed or 'none'}"
        if not looks_like_key(text)
        else f"the store has no feed {text}; `feedlog clone` fetches one from the network"
    )


def find_or_follow(store: Store, text: str, *, remote: bool) -> Feed:
    """Return a feed as `find_feed` does; where peers can be asked, a key that is new as well."""
    if not remote or any(info.name == text for info in store.feeds()):
        return find_feed(store, text)
    try:
        return store.feed(key=decode_id(text))
    except ValueError as error:
        raise UsageError(
            f"the store has no feed {text[:60]!r}, and it is no key: {error}"
        ) from None


def looks_like_key(text: str) -> bool:
    """Tell whether the text can only be a key and not a name."""
    try:
        decode_id(text)
    except ValueError:
        return False
    return True


def check_hosts(hosts: list[str] | None) -> list[str] | None:
    """Return the addresses to listen on, refusing those that are none."""
    for host in hosts or []:
        try:
            ip_address(host)
        except ValueError:
            raise UsageError(
                f"--host takes an IP address of this machine, such as 127.0.0.1 or ::, not {host!r}"
            ) from None
    return hosts


def check_addresses(addresses: list[str] | None) -> list[str]:
    """Return the bootstrap addresses, refusing those that are none."""
    for address in addresses or []:
        try:
            parse_address(address)
        except ValueError as error:
            raise UsageError(str(error)) from None
    return addresses or []
