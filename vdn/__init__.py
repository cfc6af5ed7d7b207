"""The training core: networks whose neurons compute with distributions."""


def __getattr__(name: str) -> object:
    """`__version__`, that of `probes`: asked for here alone, so that the core loads nothing of it."""
    if name != "__version__":
        raise AttributeError(f"module 'vdn' has no attribute {name!r}")
    from probes import __version__

    return __version__
