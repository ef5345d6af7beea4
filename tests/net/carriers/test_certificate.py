from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from net.carriers.certificate import make_certificate
from net.carriers.hashing import certificate_binding


def test_each_certificate_is_new_and_signs_itself() -> None:
    made = make_certificate()
    parsed = x509.load_pem_x509_certificate(made.pem)
    parsed.verify_directly_issued_by(parsed)
    assert made.binding == certificate_binding(parsed.public_bytes(Encoding.DER))
    assert make_certificate().binding != made.binding
