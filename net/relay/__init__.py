"""Relays: nodes in the open that pass on what two others cannot send each other directly."""
