"""Attaching to a network that is not ours: what is found, how it is read, what is handed on. Before it:
`watch`, `observe`.
"""
