//! Authenticated links to a PeerId: iroh QUIC, TCP and TLS lanes, in-memory.
