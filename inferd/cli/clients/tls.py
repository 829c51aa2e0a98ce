"""TLS as clients speak it: whom they trust, and what they show of themselves."""

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientTls:
    """
    Files and rules of a client's TLS.

    Attributes:
        root: The file of the roots that are trusted, in PEM; empty for those that OpenSSL
            knows (``SSL_CERT_FILE`` names others).
        certificate: The file of the client's own certificate chain, in PEM; empty for none.
        key: The file of its private key, in PEM; empty where the certificate's file has it.
        checks_peer: Whether the server's certificate must lead to a root.
        checks_host: Whether it must be for the server's name.
    """

    root: str = ""
    certificate: str = ""
    key: str = ""
    checks_peer: bool = True
    checks_host: bool = True

    def context(self, protocol: str) -> ssl.SSLContext:
        """
        Return what connections are made with.

        Args:
            protocol: ``"http"`` or ``"grpc"``, which asks for HTTP/2.

        Raises:
            ValueError: A file cannot be used, or a key has no certificate.
        """
        if self.key and not self.certificate:
            raise ValueError(f"the TLS key {self.key} lacks its certificate")
        try:
            context = ssl.create_default_context(cafile=self.root or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except OSError as error:
            files = ", ".join(filter(None, (self.root, self.certificate, self.key)))
            raise ValueError(f"cannot use the TLS files {files}: {error}") from error
        context.check_hostname = self.checks_host and self.checks_peer
        if not self.checks_peer:
            context.verify_mode = ssl.CERT_NONE
        if protocol == "grpc":
            context.set_alpn_protocols(["h2"])
        return context
