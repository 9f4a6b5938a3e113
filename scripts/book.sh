#!/usr/bin/env bash
# Builds `docs/` as a book in `target/book`. Fails on mdBook warnings, pages missing from the table of contents, and broken
# links between pages. Needs mdBook 0.5: cargo install mdbook --locked
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "book: $*" >&2; exit 1; }
for page in docs/*.md; do
  name="$(basename "$page")"
  [ "$name" = SUMMARY.md ] || grep -qF "($name)" docs/SUMMARY.md || fail "$name is not in docs/SUMMARY.md"
  # mdBook does not check links. Links out of docs/ are for readers of the repository.
  while read -r target; do
    [ -e "docs/$target" ] || fail "$page: links to $target, which does not exist"
  done < <(grep -oE '\]\([^)#: ]+[)#]' "$page" | sed 's/^](//; s/[)#]$//')
done
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
mdbook build 2>&1 | tee "$log"
! grep -qE 'WARN|ERROR' "$log" || fail "mdBook printed warnings"
