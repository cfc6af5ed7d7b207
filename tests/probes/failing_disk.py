"""A disk that fails on demand."""

import errno

from probes.storage import local


class FailingDisk:
    """`os.replace` and `os.link`, as `LocalStorage` calls them, on a disk that is full while `full`;
    `refused` counts the calls that met it so.
    """

    def __init__(self, monkeypatch):
        self.full, self.refused = False, 0
        for name in ("replace", "link"):
            monkeypatch.setattr(local.os, name, self._until_full(getattr(local.os, name)))

    def _until_full(self, call):
        def limited(source, target):
            if self.full:
                self.refused += 1
                raise OSError(errno.ENOSPC, "No space left on device")
            call(source, target)

        return limited
