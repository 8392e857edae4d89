//! Real nodes in temporary folders for end-to-end stories.
