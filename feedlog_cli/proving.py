"""`feedlog prove` and `feedlog verify`: a fact about a feed as a file that stands on its own."""

from __future__ import annotations

import base64
import sys
from bisect import bisect_left
from pathlib import Path
from typing import Annotated

import typer

from feedlog import Feed, Proof, check_proof, encode_id
from feedlog_cli.blocks import parse_range
from feedlog_cli.errors import CommandError, UsageError
from feedlog_cli.options import FeedKey, FeedName, Json, StorePath
from feedlog_cli.output import note, plural, print_facts, say_json, write_bytes
from feedlog_cli.places import find_feed, open_store, parse_key

STDIN = Path("-")


def prove(
    name: FeedName,
    blocks: Annotated[
        list[str],
        typer.Argument(
            metavar="BLOCK", show_default=False, help="Block numbers, or ranges such as 10:20."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write the proof."),
    ] = STDIN,
    length: Annotated[
        int | None,
        typer.Option(
            "--length",
            metavar="N",
            show_default="the latest",
            help="Prove against the head that was signed at this length.",
        ),
    ] = None,
    store: StorePath = None,
) -> None:
    """Write a proof that a feed holds certain blocks, with the blocks in it.

    Anybody can check it with `feedlog verify` and the feed's key, without a store and
    without the network. The proof grows with the logarithm of the feed.
    """
    if output == STDIN and sys.stdout.isatty():
        raise UsageError("a proof is binary; name a file with --output, or redirect stdout")
    with open_store(store, read_only=True) as opened:
        feed = find_feed(opened, name)
        until = feed.length if length is None else signed_length(feed, length)
        wanted = [index for text in blocks for index in parse_range(text, until)]
        proof = feed.prove(blocks=wanted, length=length)
    data = proof.to_bytes()
    if output == STDIN:
        write_bytes([data])
    else:
        output.write_bytes(data)
        shown = sum(map(len, proof.data))
        note(
            f"{output}: {plural(len(proof.data), 'block')} of {plural(shown, 'byte')} "
            f"and {len(data) - shown} bytes of proof"
        )


def signed_length(feed: Feed, length: int) -> int:
    """Return a length that a head was signed at; names those nearby where none was at this one."""
    signed = sorted({head.length for head in feed.heads()})
    at = bisect_left(signed, length)
    if length in signed[at : at + 1]:
        return length
    nearest = " and ".join(map(str, signed[max(at - 1, 0) : at + 1])) or "none"
    raise CommandError(
        f"no head was signed, or is kept, at length {length}; the nearest: {nearest}"
    )


def verify(
    key: FeedKey,
    proof_file: Annotated[
        Path,
        typer.Argument(metavar="FILE", show_default=False, help="The proof; - for stdin."),
    ],
    as_json: Json = False,
    raw: Annotated[
        bool, typer.Option("--raw", "-r", help="Print the verified blocks' bytes, nothing else.")
    ] = False,
) -> None:
    """Check a proof file with nothing but the feed's key; needs no store and no network.

    Exits with 0 only where the proof holds.
    """
    if raw and as_json:
        raise UsageError("give --raw or --json, not both")
    data = sys.stdin.buffer.read() if proof_file == STDIN else proof_file.read_bytes()
    verified = check_proof(parse_key(key), Proof.from_bytes(data))
    if raw:
        write_bytes(verified.blocks.values())
        return
    if as_json:
        say_json(
            {
                "key": encode_id(verified.key),
                "length": verified.length,
                "fork": verified.fork,
                "blocks": {
                    str(index): base64.b64encode(block).decode()
                    for index, block in verified.blocks.items()
                },
            }
        )
        return
    note(
        f"valid: the feed's writer signed {plural(verified.length, 'block')}, "
        f"{len(verified.blocks)} of which are shown"
    )
    print_facts({f"block {i}": preview(block) for i, block in verified.blocks.items()})


def preview(block: bytes) -> str:
    """Show a block on one line: its text where it is text, otherwise its size."""
    head = block[:72]
    text = head.decode("utf-8", errors="replace")
    if not text.isprintable() or "\ufffd" in text[:-1]:
        return f"{len(block)} bytes"
    return text if len(block) <= len(head) else f"{text[:-1]}... ({len(block)} bytes)"
