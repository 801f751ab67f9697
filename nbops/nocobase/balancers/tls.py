"""The certificate of a balancer: read from this computer, and looked at before it is used."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nbops.base.errors import ActionFailed
from nbops.base.paths import open_to_everyone
from nbops.base.secret import Secret
from nbops.nocobase.balancers.api import TlsPair

_SOON = timedelta(days=21)


def read_tls(folder: Path, tls: Mapping[str, Any]) -> TlsPair:
    """The files that `balancer.tls` names, relative to `folder`.

    Raises ActionFailed when one cannot be read, everybody on this computer can read the key,
    or the key is not that of the certificate.
    """
    certificate = _read(folder, "certificate", str(tls["certificate"]))
    path = folder / Path(str(tls["key"])).expanduser()
    key = Secret(_read(folder, "key", str(tls["key"])))
    if open_to_everyone(path.stat()):
        raise ActionFailed(
            f"balancer.tls.key: everyone on this computer can read or write {path}",
            hint=f"`chmod 600 {path}`",
        )
    check_pair(certificate, key)
    return TlsPair(certificate, key)


def check_pair(certificate: str, key: Secret) -> None:
    """Raises ActionFailed unless both are PEM and the key is the (first) certificate's."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    public = _first(certificate).public_key()
    try:
        private = load_pem_private_key(key.reveal().encode(), None)
    except TypeError:
        raise ActionFailed(
            "balancer.tls.key: the key is locked with a passphrase",
            hint="`openssl pkey -in KEY -out OPEN-KEY` writes it without; keep it at mode 0600",
        ) from None
    except ValueError:
        raise ActionFailed("balancer.tls.key: this is no private key in PEM") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise ActionFailed(
            "balancer.tls: the key is not that of the certificate",
            hint="in a file with a chain, the server's own certificate comes first",
        )


def pin_of(certificate: str) -> str:
    """The digest of a certificate's public key, as curl's `pinnedpubkey` has it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _first(certificate).public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def expiry_warnings(certificate: str, now: datetime | None = None) -> tuple[str, ...]:
    """What users will see soon, or see already."""
    end = _first(certificate).not_valid_after_utc
    left = end - (now or datetime.now(UTC))
    if left <= timedelta(0):
        return (f"the certificate (balancer.tls) ended on {end:%Y-%m-%d}: browsers refuse it",)
    if left < _SOON:
        days = left.days
        return (f"the certificate (balancer.tls) ends on {end:%Y-%m-%d}, in {days} days",)
    return ()


def _first(certificate: str) -> Any:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise ActionFailed("balancer.tls.certificate: this is no certificate in PEM") from None


def _read(folder: Path, name: str, written: str) -> str:
    path = folder / Path(written).expanduser()
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ActionFailed(
            f"balancer.tls.{name}: {path} cannot be read: {error}",
            hint="it is a file in PEM on this computer, relative to the inventory",
        ) from None
