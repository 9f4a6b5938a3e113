//! coin-loss
