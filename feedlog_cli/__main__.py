"""Lets `python -m feedlog_cli` do what the installed `feedlog` does."""

from feedlog_cli.start import run

if __name__ == "__main__":
    run()
