"""The `feedlog` command: a thin face over the public interface of the other packages.

    feedlog_cli.main      which commands there are, with their examples
    feedlog_cli.options   the options that commands share
    feedlog_cli.directory directories of files published as a feed and a trie
    feedlog_cli.demo      the tour that `make demo` runs

`feedlog_cli.remote_trie.RemoteTrie`, a trie read over the network, and
`feedlog_cli.trie_hints.TrieHints`, which lets a node answer its questions, live here
because `trie` and `net` do not know each other.

Knows the other packages; none of them knows this one. Must not import anything here:
Ctrl-C has to end the command while that takes its time, see `feedlog_cli.interrupts`.
"""
