//! Runs thousands of machines in virtual time from one seed and judges them.
