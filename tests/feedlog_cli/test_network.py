from __future__ import annotations

from feedlog_cli.network import for_people


def test_remarks_are_for_people() -> None:
    assert for_people("no announcement found after asking 3 nodes") == ""
    assert for_people("ab12cd34 broke a rule and is banned") == ""
    refused = "refused peer ab12cd34: what it sent is not what the writer signed"
    assert for_people("ab12cd34 left: proof") == refused
    assert for_people("ab12cd34 left: proof of ab12cd34: node 7 differs") == refused
    assert for_people("ab12cd34 left: \x1b[2J") == "ab12cd34 left: \\x1b[2J"
