"""The form in which PostgreSQL keeps a password: so that none is ever sent to its host. Pure.

Source: RFC 5802 and PostgreSQL's `src/common/scram-common.c`: verifiers read
`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, all in base64.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

_ITERATIONS = 4096
_SALT_BYTES = 16
_FORM = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:.+")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def verifier(password: str, salt: bytes | None = None, iterations: int = _ITERATIONS) -> str:
    """What PostgreSQL is to keep for `password`; with a fresh salt when none is given."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored)}:{_text(server)}"


def fits(kept: str, password: str) -> bool:
    """Whether what a server keeps belongs to `password`; False for other forms (md5, none)."""
    form = _FORM.fullmatch(kept)
    if not form:
        return False
    salt = base64.b64decode(form[2])
    return hmac.compare_digest(verifier(password, salt, int(form[1])), kept)


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013); a text that it refuses is used as it is, as PostgreSQL does."""
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(sign) else sign
        for sign in password
        if not stringprep.in_table_b1(sign)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    refused = any(table(sign) for sign in prepared for table in _PROHIBITED)
    return (prepared if prepared and not refused and not _mixes(prepared) else password).encode()


def _mixes(text: str) -> bool:
    """Whether right-to-left text stands where RFC 3454 section 6 does not allow it."""
    right = [stringprep.in_table_d1(sign) for sign in text]
    if not any(right):
        return False
    return any(map(stringprep.in_table_d2, text)) or not (right[0] and right[-1])


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
