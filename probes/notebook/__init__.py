"""A run in a notebook: what it says of itself (`summary`), and its replay as a widget (`replay`).

`Run` shows itself by the first and opens the second with `Run.replay`.
"""
