"""The I/O shell around protocol machines: links, TLS, DNS, datagram endpoints."""
