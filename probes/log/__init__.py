"""The log on the disk: its files, how they are written, compacted, checked and opened. `Recorder` and `Run`
stand before it.
"""
