//! Example programs, one file each in this folder. Code that several of them share is in `src`.

pub mod from_scratch;
