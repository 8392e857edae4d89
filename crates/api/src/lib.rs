//! What one may ask a node and what it answers; the only language of all doors.
