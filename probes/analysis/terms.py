"""Terms of a line, as the search of runs and that of neurons read it: `layers=3 kl>0.3 status:finished nyc`.

A term is KEY SIGN VALUE, with signs = != < <= > >= between which and their sides blanks may stand, or :, or a
word alone. Double quotes hold blanks (and whatever else means something) together. What keys and values mean
is up to the language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

QUOTE = '"'
_VALUE = r'(?:"[^"]*"|[^\s"])*'
_TERM = re.compile(
    rf"(?:(?P<key>[A-Za-z_][\w.\-]*)(?:\s*(?P<sign><=|>=|!=|=|<|>)\s*|(?P<colon>:)))?(?P<value>{_VALUE})"
)


class TermError(ValueError):
    """A line that cannot be taken apart."""


@dataclass(frozen=True)
class Term:
    """One term.

    Attributes
    ----------
    key
        None: a word alone.
    sign
        "=", "!=", "<", "<=", ">", ">=" or ":"; empty for a word alone.
    value
        As it is written, with its quotes; may be empty.
    text
        The whole term as it is written.
    """

    key: str | None
    sign: str
    value: str
    text: str


def split(text: str) -> list[Term]:
    """Take a line apart.

    Parameters
    ----------
    text
        The line.

    Returns
    -------
    list of Term
        In order.

    Raises
    ------
    TermError
        For a quote that is not closed.
    """
    if text.count(QUOTE) % 2:
        rest = text[text.rindex(QUOTE) :]
        raise TermError(f"“{rest}” opens a quote that nothing closes: close the quote, or leave it out")
    return [
        Term(found["key"], found["sign"] or found["colon"] or "", found["value"], found[0].strip())
        for found in _TERM.finditer(text)
        if found[0].strip()
    ]


def unquoted(value: str) -> str:
    """A value without its quotes.

    Parameters
    ----------
    value
        As it is written.

    Returns
    -------
    str
        What it says.
    """
    return value.replace(QUOTE, "")
