from __future__ import annotations

from pathlib import Path

from feedlog import Store, decode_id
from tests.reference.command_line import Network, Run


def test_a_clone_is_whole_and_verified(process: Run, network: Network, home: Path) -> None:
    result = process("clone", network.log, "--bootstrap", network.bootstrap)
    assert result.code == 0, result.err
    assert result.out.startswith(f"{network.log}  50 blocks, ")
    assert "50/50 blocks" in result.err
    with Store(home) as store:
        feed = store.feed(key=decode_id(network.log))
        assert list(feed) == [f"entry {n}".encode() for n in range(50)]
        assert not feed.writable


def test_a_directory_comes_with_its_contents(process: Run, network: Network) -> None:
    clones = process("clone", network.directory, "-b", network.bootstrap, "--json").json
    assert [each["key"] for each in clones] == [network.directory, network.contents]
    assert all(each["held"] == each["length"] for each in clones)


def test_cloning_again_fetches_nothing(process: Run, network: Network) -> None:
    process("clone", network.log, "-b", network.bootstrap)
    (again,) = process("clone", network.log, "-b", network.bootstrap, "--json").json
    assert (again["bytes_received"], again["held"]) == (0, 50)


def test_a_part_of_a_feed(process: Run, network: Network, home: Path) -> None:
    (part,) = process("clone", network.log, "-b", network.bootstrap, "--range=-5:", "--json").json
    assert (part["blocks"], part["held"], part["length"]) == (5, 5, 50)
    with Store(home) as store:
        assert store.feed(key=decode_id(network.log)).have == [range(45, 50)]


def test_an_empty_feed_is_cloned(process: Run, network: Network) -> None:
    (part,) = process(
        "clone", network.log, "-b", network.bootstrap, "--range", "9:9", "--json"
    ).json
    assert part["blocks"] == 0
