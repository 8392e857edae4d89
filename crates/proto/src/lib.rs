//! Every protocol decision as a machine without IO, clock or dice of its own.
