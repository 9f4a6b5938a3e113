//! coin-model
