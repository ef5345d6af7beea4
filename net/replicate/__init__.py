"""Replication of feeds over channels. Specified in docs/spec/replication.md."""
