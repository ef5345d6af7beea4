from __future__ import annotations

from feedlog_cli.network import for_people
from net import Setback, SetbackKind

PEER = bytes.fromhex("ab12cd34") + bytes(28)


def test_remarks_are_for_people() -> None:
    asked = "after asking 3 nodes"
    assert for_people(Setback(SetbackKind.UNANNOUNCED, reason=asked)) == ""
    assert for_people(Setback(SetbackKind.BANNED, PEER)) == ""
    lied = Setback(SetbackKind.FALSE_PROOF, PEER, "proof of ab12cd34: node 7 differs")
    assert for_people(lied) == "refused peer ab12cd34: what it sent is not what the writer signed"


def test_what_a_peer_says_is_printable_and_decides_nothing() -> None:
    for reason, shown in (("\x1b[2J", "\\x1b[2J"), ("proof of guilt", "proof of guilt")):
        left = Setback(SetbackKind.LEFT, PEER, reason)
        assert for_people(left) == f"ab12cd34 left: {shown}"
