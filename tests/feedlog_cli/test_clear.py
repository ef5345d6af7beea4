from __future__ import annotations

from tests.reference.command_line import Network, Run


def test_cleared_blocks_are_gone_and_the_rest_is_proven(process: Run) -> None:
    key = process("create", "news").out.strip()
    process("append", "news", "a", "b", "c", "d")
    assert process("clear", "news", "1:3").err == "cleared 2 blocks\n"
    assert process("clear", "news", "2").err == "cleared 0 blocks\n"
    assert process("info", "news", "--json").json["held"] == 2
    assert "block 1 is not held in this store" in process("get", "news", 1).complaint
    proof = process("prove", "news", 3).raw
    assert process("verify", key, "-", "--raw", stdin=proof).raw == b"d"
    assert "block 9 is past the end" in process("clear", "news", "9").complaint
    assert process("clear", "news", "-1:").err == "cleared 1 block\n"


def test_what_was_cleared_can_be_fetched_again(process: Run, network: Network) -> None:
    process("clone", network.log, "-b", network.bootstrap)
    process("clear", network.log, "7")
    assert "is not held" in process("get", network.log, 7).complaint
    assert process("get", network.log, 7, "-b", network.bootstrap).raw == b"entry 7"
    assert process("get", network.log, 7).raw == b"entry 7"
