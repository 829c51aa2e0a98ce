"""Tests of the files of TLS: what is taken, and what an operator is told otherwise."""

import os
import ssl
from pathlib import Path

import pytest
from authority import Authority

from inferd.errors import ConfigError
from inferd.listening.tls import TlsFiles, reload_files, server_context


@pytest.fixture(name="make")
def _make(server_pair):
    """Make files for gRPC; a keyword replaces one."""

    def make(**changes):
        return TlsFiles(
            **{"service": "grpc", "certificate": server_pair.certificate, "key": server_pair.key}
            | changes
        )

    return make


def refusal(files):
    """Return why files are refused: one line."""
    with pytest.raises(ConfigError) as caught:
        server_context(files, ["h2"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def handshake(server, client):
    """Return the client's side of a TLS connection after the handshake, made in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    two = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [one, two]
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    return one


def client_context(authority, *protocols):
    """Return the context of a client that trusts the root."""
    made = ssl.create_default_context(cafile=authority.root)
    made.set_alpn_protocols(list(protocols))
    return made


def test_alpn(make, authority):
    """The protocol is agreed on in the handshake."""
    context = server_context(make(), ["h2"])
    agreed = handshake(context, client_context(authority, "http/1.1", "h2"))
    assert agreed.selected_alpn_protocol() == "h2"
    assert agreed.version() == "TLSv1.3"


def test_only_tls_1_2_and_later(make):
    """Older versions are broken."""
    context = server_context(make(), ["h2"])
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_mutual_tls(make, authority, client_pair):
    """With roots, only a client whose certificate leads to them gets through."""
    context = server_context(make(roots=authority.root), ["h2"])
    client = client_context(authority, "h2")
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(context, client)
    client.load_cert_chain(client_pair.certificate, client_pair.key)
    assert handshake(context, client).selected_alpn_protocol() == "h2"


def test_a_client_of_another_root_is_refused(make, authority, tmp_path):
    """A certificate alone is not enough."""
    stranger = Authority(tmp_path, "other").issue("stranger")
    client = client_context(authority, "h2")
    client.load_cert_chain(stranger.certificate, stranger.key)
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        handshake(server_context(make(roots=authority.root), ["h2"]), client)


@pytest.mark.parametrize(
    ("field", "flag"),
    [
        ("certificate", "--grpc-server-cert"),
        ("key", "--grpc-server-key"),
        ("roots", "--grpc-root-cert"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(make, tmp_path, field, flag):
    """With its option: missing, a folder, or without the right kind of content."""
    missing = tmp_path / "missing.pem"
    assert refusal(make(**{field: str(missing)})) == (
        f"{flag}: {missing}: No such file or directory"
    )
    assert refusal(make(**{field: str(tmp_path)})) == f"{flag}: {tmp_path}: Is a directory"
    text = tmp_path / "text.pem"
    text.write_text("hello")
    assert refusal(make(**{field: str(text)})).startswith(f"{flag}: {text}: no")
    assert refusal(make(**{field: "a\0b"})).startswith(f"{flag}: a\0b: embedded null")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_a_file_without_permission_is_named(make, tmp_path):
    """The usual mistake with keys."""
    secret = tmp_path / "secret.key"
    secret.write_text("")
    secret.chmod(0)
    assert refusal(make(key=str(secret))).endswith(f"{secret}: Permission denied")


def test_a_key_of_another_certificate_is_refused(make, client_pair, server_pair):
    """The line names both files."""
    assert refusal(make(key=client_pair.key)) == (
        f"--grpc-server-key: {client_pair.key}: not the key of the certificate in "
        f"{server_pair.certificate}"
    )


def test_a_key_with_a_password_is_refused(make, authority):
    """The server does not stop to ask for it."""
    pair = authority.issue("secret", password="sesame")
    assert refusal(make(certificate=pair.certificate, key=pair.key)) == (
        f"--grpc-server-key: {pair.key}: the key has a password; only keys without one are taken"
    )


def test_an_expired_certificate_is_refused(make, authority, server_pair, tmp_path):
    """Wherever in the chain; the line says when it was over."""
    pair = authority.issue("expired", days=-1)
    assert refusal(make(certificate=pair.certificate, key=pair.key)).startswith(
        f"--grpc-server-cert: {pair.certificate}: a certificate expired on 20"
    )
    chain = tmp_path / "chain.pem"
    chain.write_text(Path(server_pair.certificate).read_text() + Path(pair.certificate).read_text())
    assert "a certificate expired on" in refusal(make(certificate=str(chain)))


def test_roots_of_which_one_holds_are_taken(make, authority, tmp_path):
    """Bundles have old ones in them; only one that is all over is a mistake."""
    expired = authority.issue("old", days=-1).certificate
    assert refusal(make(roots=expired)) == (
        f"--grpc-root-cert: {expired}: every certificate in it has expired"
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Path(expired).read_text() + Path(authority.root).read_text())
    assert server_context(make(roots=str(bundle)), ["h2"]).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("field", "flag"), [("certificate", "--grpc-server-cert"), ("roots", "--grpc-root-cert")]
)
def test_a_broken_certificate_is_named(make, server_pair, tmp_path, field, flag):
    """Half a certificate is none."""
    lines = Path(server_pair.certificate).read_text().splitlines()
    broken = tmp_path / "broken.pem"
    broken.write_text("\n".join([lines[0], *lines[2:]]))
    assert refusal(make(**{field: str(broken)})).startswith(f"{flag}: {broken}: ")


def test_a_certificate_openssl_refuses_is_named(make, server_pair, tmp_path):
    """Its dates can be read, and nothing else."""
    der = bytearray(ssl.PEM_cert_to_DER_cert(Path(server_pair.certificate).read_text()))
    der[-80] ^= 0xFF
    der[der.rindex(b"\x30\x0a\x06\x08") + 2] = 0x1F
    broken = tmp_path / "broken.pem"
    broken.write_text(ssl.DER_cert_to_PEM_cert(bytes(der)))
    assert refusal(make(certificate=str(broken))).startswith(
        f"--grpc-server-cert: {broken}: not a certificate that can be used ("
    )
    assert refusal(make(roots=str(broken))).startswith(
        f"--grpc-root-cert: {broken}: cannot be used ("
    )


def test_a_certificate_is_read_again(make, authority, tmp_path):
    """New connections get the new one; a bad one changes nothing."""
    first, second = authority.issue("first"), authority.issue("second")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    files = make(certificate=str(certificate), key=str(key))

    def put(pair):
        certificate.write_bytes(Path(pair.certificate).read_bytes())
        key.write_bytes(Path(pair.key).read_bytes())

    def subject():
        shown = handshake(context, client_context(authority, "h2")).getpeercert()
        return shown["subject"][0][0][1]

    put(first)
    context = server_context(files, ["h2"])
    assert subject() == "first"
    put(second)
    assert subject() == "first"
    reload_files(context, files, ["h2"])
    assert subject() == "second"
    put(authority.issue("over", days=-1))
    with pytest.raises(ConfigError, match="expired"):
        reload_files(context, files, ["h2"])
    assert subject() == "second"


def test_a_key_of_another_kind_takes_over(make, authority, tmp_path):
    """From a curve to RSA: the old certificate is not offered beside the new one."""
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    for name, kind in (("curve", "ec"), ("numbers", "rsa:2048")):
        pair = authority.issue(name, kind=kind)
        certificate.write_bytes(Path(pair.certificate).read_bytes())
        key.write_bytes(Path(pair.key).read_bytes())
        files = make(certificate=str(certificate), key=str(key))
        if name == "curve":
            context = server_context(files, ["h2"])
    reload_files(context, files, ["h2"])
    agreed = handshake(context, client_context(authority, "h2"))
    assert agreed.getpeercert()["subject"][0][0][1] == "numbers"
    assert agreed.selected_alpn_protocol() == "h2"


def test_roots_are_read_again(make, authority, client_pair, tmp_path):
    """Clients of the new root get in, those of the old one do not any more."""
    other = Authority(tmp_path, "next")
    newcomer = other.issue("newcomer")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(Path(authority.root).read_bytes())
    files = make(roots=str(roots))
    context = server_context(files, ["h2"])
    old, new = client_context(authority, "h2"), client_context(authority, "h2")
    old.load_cert_chain(client_pair.certificate, client_pair.key)
    new.load_cert_chain(newcomer.certificate, newcomer.key)
    handshake(context, old)
    roots.write_bytes(Path(other.root).read_bytes())
    reload_files(context, files, ["h2"])
    handshake(context, new)
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        handshake(context, old)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(context, client_context(authority, "h2"))
