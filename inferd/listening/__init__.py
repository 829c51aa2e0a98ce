"""Where services listen: addresses, listening sockets and TLS, the same for every protocol."""
