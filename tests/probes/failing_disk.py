"""A disk that fails on demand."""

import errno

from probes.storage import local


class FailingDisk:
    """`os.replace` and `os.link`, as `LocalStorage` calls them, on a disk that is full while `full`."""

    def __init__(self, monkeypatch):
        self.full = False
        for name in ("replace", "link"):
            monkeypatch.setattr(local.os, name, self._until_full(getattr(local.os, name)))

    def _until_full(self, call):
        def limited(source, target):
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            call(source, target)

        return limited
