//! coin
