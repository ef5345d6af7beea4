"""Where the process of a command begins: first prepared for Ctrl-C, then with all its modules."""

from feedlog_cli.interrupts import end_at_once

end_at_once()

from feedlog_cli.main import run  # noqa: E402 - this is what takes the time

__all__ = ["run"]
