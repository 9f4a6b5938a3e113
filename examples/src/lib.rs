//! Small programs to learn from; each is one file in this folder. What several of them share lies in `src`.

pub mod from_nothing;
