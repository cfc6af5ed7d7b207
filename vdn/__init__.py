"""The training core: networks whose neurons compute with distributions."""
