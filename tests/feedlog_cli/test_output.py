from __future__ import annotations

import pytest

from feedlog_cli.output import plural, print_table, printable, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (31_525_224, "30.1 MiB"),
        (999 * 2**20, "999 MiB"),
        (2**60, "1048576 TiB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(count: int, text: str) -> None:
    assert size(count) == text


def test_plurals() -> None:
    assert [plural(n, "block") for n in (0, 1, 1790)] == ["0 blocks", "1 block", "1,790 blocks"]


def test_tables_keep_long_cells_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "#count"), [("x" * 200, "7"), ("y", "1234")])
    assert capsys.readouterr().out.splitlines() == [
        "name" + " " * 198 + "count",
        "x" * 200 + "      7",
        "y" + " " * 201 + " 1234",
    ]


def test_columns_stay_in_line_beside_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "#count"), [("\u540d\u524d", "7"), ("news", "8")])
    assert capsys.readouterr().out.splitlines() == [
        "name  count",
        "\u540d\u524d      7",
        "news      8",
    ]


def test_a_strangers_text_cannot_drive_the_terminal() -> None:
    assert printable("a/gr\u00fc\u00dfe") == "a/gr\u00fc\u00dfe"
    assert printable("\x1b[2J\n\u202e") == "\\x1b[2J\\n\\u202e"
