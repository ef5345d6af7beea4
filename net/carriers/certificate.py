"""The certificate of a QUIC port: self-signed, made afresh, worth nothing by itself.

QUIC cannot be without TLS, and TLS not without a certificate. Nobody checks who signed
this one: the Noise handshake above proves who the peer is, and has the certificate's
hash in its prologue, so a man in the middle would have to show his own and be found out.
A new key for each port leaves nothing to follow a node by.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from net.carriers.hashing import certificate_binding

VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
VALID_UNTIL = datetime(2120, 1, 1, tzinfo=UTC)
"""Wide: the clocks of peers are no part of this."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, both in PEM, and what peers know it by."""

    pem: bytes
    key_pem: bytes
    binding: bytes


def make_certificate() -> Certificate:
    """Make a key and a certificate for it."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "feedlog")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .sign(key, None)
    )
    return Certificate(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate_binding(certificate.public_bytes(Encoding.DER)),
    )
