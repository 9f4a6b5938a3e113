//! Columns found by their names in a header.

/// Returns the place in `header` of the first of `names` that it contains.
pub(crate) fn column(header: &[String], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| header.iter().position(|column| column == name))
}

/// True if another column has the name of the column at `place`.
pub(crate) fn is_repeated(header: &[String], place: usize) -> bool {
    header.iter().filter(|name| **name == header[place]).count() > 1
}
