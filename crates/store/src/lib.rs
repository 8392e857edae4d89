//! Keeps pieces, manifests, shares and progress on disk, safely through crashes.
