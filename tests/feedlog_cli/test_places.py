from __future__ import annotations

from pathlib import Path

import pytest

from feedlog import Store
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.places import (
    check_addresses,
    check_hosts,
    find_feed,
    open_store,
    parse_key,
    store_path,
)


def test_the_store_is_where_xdg_has_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert store_path(None) == tmp_path / ".local/share/feedlog"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert store_path(None) == tmp_path / ".local/share/feedlog"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store_path(None) == tmp_path / "data/feedlog"
    assert store_path(Path("given")) == Path("given")


def test_who_has_no_home_names_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)  # no user of the system
    with pytest.raises(CommandError, match="name the store with --store or FEEDLOG_STORE"):
        store_path(None)


def test_a_store_is_made_only_on_request(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="`feedlog create NAME` makes one"):
        open_store(tmp_path / "new")
    assert not (tmp_path / "new").exists()
    open_store(tmp_path / "new", create=True).close()
    open_store(tmp_path / "new").close()


def test_feeds_are_found_by_name_and_key() -> None:
    with Store.memory() as store:
        feed = store.feed("news")
        assert find_feed(store, "news") is feed
        assert find_feed(store, feed.id) is feed


def test_what_is_not_there_is_named_with_what_is() -> None:
    with Store.memory() as store:
        with pytest.raises(CommandError, match=r"no feed 'x'; it has none"):
            find_feed(store, "x")
        for number in range(9):
            store.feed(f"f{number}")
        with pytest.raises(CommandError, match=r"it has f0, .*, f7, \.\.\.$"):
            find_feed(store, "x")
        with Store.memory() as other:
            key = other.feed("x").id
        with pytest.raises(CommandError, match="`feedlog clone` fetches one"):
            find_feed(store, key)


def test_a_mistyped_key_is_a_usage_error() -> None:
    with Store.memory() as store:
        feed = store.feed("x")
        assert parse_key(feed.id) == feed.key
        assert parse_key(feed.id.upper()) == feed.key
    for wrong in ("", "x", "0" * 52, "y" * 51 + "b"):
        with pytest.raises(UsageError) as error:
            parse_key(wrong)
        assert error.value.exit_code == 2


def test_addresses_are_checked_before_anything_starts() -> None:
    assert check_addresses(None) == []
    assert check_addresses(["127.0.0.1:1", "[::1]:2"]) == ["127.0.0.1:1", "[::1]:2"]
    with pytest.raises(UsageError, match="an address is host:port"):
        check_addresses(["127.0.0.1:1", "nowhere"])


def test_hosts_are_addresses_of_a_machine() -> None:
    assert check_hosts(None) is None
    assert check_hosts(["127.0.0.1", "::"]) == ["127.0.0.1", "::"]
    for wrong in ("localhost", "127.0.0.1:80", ""):
        with pytest.raises(UsageError, match=f"such as 127.0.0.1 or ::, not '{wrong}'"):
            check_hosts([wrong])
