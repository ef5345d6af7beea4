"""The `feedlog` command: a thin face over the public interface of the other packages.

    feedlog_cli.main      which commands there are, with their examples
    feedlog_cli.options   the options that commands share
    feedlog_cli.directory directories of files published as a feed and a trie
    feedlog_cli.demo      the tour that `make demo` runs

Knows the other packages; none of them knows this one.
"""
