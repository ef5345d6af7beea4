"""Every example runs, and so does every piece of Python in the README and the guide.

The blocks of a page are one program: they run from top to bottom in an empty directory,
with `await` allowed outside of functions. Sessions (```console) are run as well, and what
the commands print has to be what the page shows, but for keys and sizes of proofs.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]

RUNNER = """
import ast, asyncio, inspect, sys
source = open(sys.argv[1], encoding="utf-8").read()
code = compile(source, sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
namespace = {"__name__": "__main__"}
async def main():
    result = eval(code, namespace)
    if inspect.isawaitable(result):
        await result
asyncio.run(main())
"""


def blocks(page: Path, language: str) -> list[str]:
    """Return the lines of a page, those outside of blocks of a language left empty."""
    lines: list[str] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == f"```{language}"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return lines


def program(page: Path) -> str:
    """Return the Python of a page, each block at its own line numbers."""
    return "\n".join(blocks(page, "python")) + "\n"


def comparable(output: str) -> str:
    """Return output without what differs from run to run: keys, and the length of signatures."""
    return re.sub(r"\b[a-z0-9]{52}\b", "KEY", re.sub(r"\d+ bytes of proof", "N bytes", output))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert done.stdout
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_page_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text(program(page), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(script)],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_session_is_as_shown(page: Path, tmp_path: Path) -> None:
    session = [line for line in blocks(page, "console") if line]
    if not session:
        return
    commands = [line.removeprefix("$ ") for line in session if line.startswith("$ ")]
    script = "\n".join(
        f"printf '%s\\n' {shlex.quote(f'$ {line}')}; {line} 2>&1" for line in commands
    )
    scripts = Path(sysconfig.get_path("scripts"))
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{scripts}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert (
        comparable(done.stdout.decode()).splitlines() == comparable("\n".join(session)).splitlines()
    )
