"""Feeds that we share and follow: their peers, their streams, and how a reader sees them.

What is said in a channel and decided about blocks is `net.replicate`, which waits for nothing.
"""
