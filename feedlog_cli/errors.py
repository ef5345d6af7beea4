"""What a command raises when it cannot do what it was asked.

Everything else that a command lets through is an error of the packages below, the
system's `OSError`, or a `ValueError` about the user's input: `feedlog_cli.main.run`
prints each as one line and exits with 1.

    CommandError     exit code 1: the command failed
      UsageError     exit code 2: the command line itself is wrong
"""

from __future__ import annotations


class CommandError(Exception):
    """The command failed; the message is the one line that the user reads."""

    exit_code = 1


class UsageError(CommandError):
    """What was typed cannot be meant."""

    exit_code = 2
