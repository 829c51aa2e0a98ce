"""Tests of reading certificates."""

import base64
import contextlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.listening.certificates import expiries, has_expired


def element(tag, content):
    """Return an element of DER."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    digits = size.to_bytes(4, "big").lstrip(b"\0")
    return bytes((tag, 0x80 | len(digits))) + digits + content


def certificate(kind, until, *, version=True, issuer=b"", outer=0x30):
    """Return the PEM text of what the fields before and in the validity make."""
    times = element(0x17, b"200101000000Z") + element(kind, until)
    fields = element(0xA0, element(2, b"\2")) if version else b""
    fields += element(2, b"\1") + element(0x30, b"") + element(0x30, issuer)
    der = element(outer, element(0x30, fields + element(0x30, times)))
    return ssl.DER_cert_to_PEM_cert(der)


def test_certificates_of_openssl(authority, server_pair):
    """The end of every certificate of a chain is found, in order."""
    chain = Path(server_pair.certificate).read_text() + Path(authority.root).read_text()
    now = datetime.now(UTC)
    for until in expiries(chain):
        assert now + timedelta(days=1) < until < now + timedelta(days=3)
    assert len(expiries(chain)) == 2
    assert expiries("no certificate") == []


@pytest.mark.parametrize(
    ("kind", "text", "year"),
    [
        (0x17, b"491231235959Z", 2049),
        (0x17, b"500101000000Z", 1950),
        (0x18, b"20500101000000Z", 2050),
        (0x18, b"99991231235959Z", 9999),
    ],
)
def test_centuries(kind, text, year):
    """Two digits of a year are of 1950 to 2049, RFC 5280."""
    (until,) = expiries(certificate(kind, text))
    assert (until.year, until.tzinfo) == (year, UTC)


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 70_000])
def test_long_fields(size):
    """Lengths of one byte and of several are understood, with and without a version."""
    for version in (True, False):
        pem = certificate(0x17, b"300101000000Z", version=version, issuer=bytes(size))
        assert expiries(pem) == [datetime(2030, 1, 1, tzinfo=UTC)]


def test_the_last_second_counts():
    """A certificate holds until the time in it, that second included."""
    until = datetime(2030, 1, 1, tzinfo=UTC)
    assert not has_expired(until, until)
    assert has_expired(until, until + timedelta(microseconds=1))


def test_other_things_are_refused():
    """What is no certificate is an error, not a date."""
    with pytest.raises(ValueError, match="tag 0x31 instead of 0x30"):
        expiries(certificate(0x17, b"300101000000Z", outer=0x31))
    with pytest.raises(ValueError, match="does not match"):
        expiries(certificate(0x17, b"soon"))


@given(st.integers(0, 60))
def test_a_certificate_that_ends_early_is_refused(size):
    """However few of its bytes are there."""
    der = ssl.PEM_cert_to_DER_cert(certificate(0x17, b"300101000000Z"))
    with pytest.raises(ValueError, match="it ends early"):
        expiries(ssl.DER_cert_to_PEM_cert(der[: min(size, len(der) - 1)] or b"\x30"))


@given(st.binary(min_size=1, max_size=80))
def test_arbitrary_bytes_raise_nothing_else(data):
    """Only ValueError comes out."""
    body = base64.b64encode(data).decode()
    with contextlib.suppress(ValueError):
        expiries(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----")
