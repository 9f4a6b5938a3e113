//! Criterion benches; each is one file in this folder.
