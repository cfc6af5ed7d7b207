"""Watching a network's distributions: record, read, diagnose and draw them, whoever's model it is."""
