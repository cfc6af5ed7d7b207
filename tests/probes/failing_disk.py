"""A disk that fails on demand."""

import errno

from probes.log import segments


class FailingDisk:
    """`os.replace`, as `parts.write_atomic` calls it, on a disk that is full while `full` is set."""

    def __init__(self, monkeypatch):
        self.full = False
        self._replace = segments.os.replace
        monkeypatch.setattr(segments.os, "replace", self)

    def __call__(self, source, target):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._replace(source, target)
