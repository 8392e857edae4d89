//! Keys and signatures, as pure values.
