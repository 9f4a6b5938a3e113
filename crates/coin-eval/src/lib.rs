//! coin-eval
