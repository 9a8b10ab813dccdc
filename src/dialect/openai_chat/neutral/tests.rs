//! The neutral side, by table and over recordings.
