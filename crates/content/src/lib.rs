//! Turns bytes into hashes and manifests and checks them; bytes in, values out.
