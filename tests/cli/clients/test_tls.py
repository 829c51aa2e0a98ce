"""Tests of a client's TLS."""

import ssl

import pytest

from inferd.cli.clients.tls import ClientTls


@pytest.mark.parametrize(
    ("peer", "host", "mode", "checks"),
    [
        (True, True, ssl.CERT_REQUIRED, True),
        (True, False, ssl.CERT_REQUIRED, False),
        (False, True, ssl.CERT_NONE, False),
    ],
)
def test_what_is_checked(authority, client_pair, peer, host, mode, checks):
    """The server's certificate and its name are checked unless that is switched off."""
    files = (authority.root, client_pair.certificate, client_pair.key)
    context = ClientTls(*files, checks_peer=peer, checks_host=host).context("grpc")
    assert (context.verify_mode, context.check_hostname) == (mode, checks)
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("files", [("/no/root",), ("", "/no/certificate"), ("", "", "/no/key")])
def test_files_that_cannot_be_used(files):
    """A file that is missing, or lacks the other, is an error with its name."""
    with pytest.raises(ValueError, match=files[-1]):
        ClientTls(*files).context("http")
