//! coin-train
