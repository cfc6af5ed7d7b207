"""A disk that fails on demand."""

import errno

from probes.storage import local


class FailingDisk:
    """`os.replace`, as `LocalStorage` calls it, on a disk that is full while `full` is set."""

    def __init__(self, monkeypatch):
        self.full = False
        self._replace = local.os.replace
        monkeypatch.setattr(local.os, "replace", self)

    def __call__(self, source, target):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._replace(source, target)
