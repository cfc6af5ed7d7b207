"""What a run may hold: one set of limits, which the recorder keeps to when it is called and readers refuse to
go beyond.
"""

from __future__ import annotations

LARGEST = 2**53
"""Largest step or row number: beyond it a browser's numbers, which are float64, would no longer tell two
apart.
"""
MAX_NEURONS = 2**24
"""Most neurons of a run: readers make arrays of a layer's width before they look into its files."""
MAX_LAYERS = 2**15 - 1
"""Most layers of a run: `layer` is int16."""
MAX_CLASSES = 2**20
"""Most classes or components of a neuron: a code book or a vocabulary has fewer."""
JSON_BYTES = 8 * 2**20
JSON_DEPTH = 64
INTEGER_DIGITS = 300
"""JSON beyond these is none of a run's: one with 1,000 layers has 0.3 MB and four levels. A seed may be any
integer that a float64 can hold the size of.
"""
NAME_CHARACTERS = 1_000
"""Most of the name of a scalar, a split, an event or a term of the loss: names go to the manifest too."""
TEXT_CHARACTERS = 2**16
"""Most of an event's text: readers load the events of a whole run."""
SCORES = 1_000
"""Most series of scalars whose last value stands in the manifest, in order of appearance: it is rewritten by
each flush.
"""
