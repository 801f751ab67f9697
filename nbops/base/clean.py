"""Remote output made fit for a terminal: no control sequence of a host reaches it.

What is removed: escape sequences in their 7-bit and 8-bit forms (CSI, OSC, DCS, SOS, PM,
APC and the rest), all other control characters but tab and newline, and the invisible
characters that change the order in which text is read (Unicode TR9). A carriage return
becomes a newline, so that nothing can be written over something else.
"""

from __future__ import annotations

import re

# ECMA-48: an introducer, then what belongs to it. Strings end at their terminator, at the
# latest at the end of the line, so that an unfinished one cannot swallow what follows.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# All of these, and what is drawn as nothing: joiners, soft hyphens, selectors of variants.
_SIGNS = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_SIGN = re.compile(_SIGNS)
_UNSEEN = re.compile(f"{_SEQUENCES.pattern}|{_SIGNS}")


def clean(text: str) -> str:
    """`text` with tabs and newlines as its only control characters."""
    if text.isascii() and text.isprintable():
        return text
    text = _SEQUENCES.sub("", text)
    text = _BREAKS.sub("\n", text)
    text = _CONTROLS.sub("", text)
    text = _INVISIBLE.sub("", text)
    return _SURROGATES.sub("\ufffd", text)


def one_line(text: str) -> str:
    """`text` cleaned, with every run of white space as one space."""
    return " ".join(clean(text).split())


def seen(text: str) -> str:
    """The letters of `text` that a reader sees, on the lines that end with a newline: what is
    to be found in it is found however it is coloured or broken up."""
    return _UNSEEN.sub("", text) if _SIGN.search(text) else text
