//! Saved plans against what may move.
