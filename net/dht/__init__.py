"""The distributed hash table: who announces a topic, found without a server."""
