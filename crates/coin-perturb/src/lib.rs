//! coin-perturb
