"""
Reads from X.509 certificates until when they hold; Python's ``ssl`` tells it of authorities' only.

Source: RFC 5280 section 4.1 (the fields of a certificate and the forms of a time), X.690
section 8 (DER's tags and lengths).
"""

import re
import ssl
from datetime import UTC, datetime
from typing import Final

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_FIELDS_BEFORE_VALIDITY: Final = 3
"""The serial number, the signature's algorithm and the issuer."""


def expiries(pem: str) -> list[datetime]:
    """
    Return until when each certificate of a PEM text holds, in the order of the text.

    Raises:
        ValueError: A certificate cannot be read.
    """
    return [_expiry(ssl.PEM_cert_to_DER_cert(found)) for found in _PEM.findall(pem)]


def has_expired(until: datetime, now: datetime) -> bool:
    """Tell whether a certificate's time is over; its last second is part of it (RFC 5280)."""
    return until < now


def _expiry(der: bytes) -> datetime:
    try:
        certificate = _content(der, _SEQUENCE)
        fields = _content(certificate, _SEQUENCE)
        if fields[0] == _VERSION:
            fields = _element(fields)[2]
        for _ in range(_FIELDS_BEFORE_VALIDITY):
            fields = _element(fields)[2]
        _, _, after = _element(_content(fields, _SEQUENCE))
        tag, content, _ = _element(after)
        return _time(tag, content.decode("ascii"))
    except IndexError:
        raise ValueError("it ends early") from None


def _time(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:
        # Two digits of a year: 50 and above are of the 20th century, RFC 5280 section 4.1.2.5.1.
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _content(data: bytes, tag: int) -> bytes:
    found, content, _ = _element(data)
    if found != tag:
        raise ValueError(f"tag {found:#x} instead of {tag:#x}")
    return content


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and content of DER's next element, and what follows it."""
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    end = start + size
    if end > len(data):
        raise ValueError("it ends early")
    return tag, data[start:end], data[end:]
