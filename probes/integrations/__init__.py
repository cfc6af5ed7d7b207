"""Thin ways into other people's training loops; each module needs its own library and nothing else does."""
