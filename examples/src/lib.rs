//! Small programs to learn from; each is one file in this folder.
