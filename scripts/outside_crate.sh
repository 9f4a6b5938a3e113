#!/usr/bin/env bash
# Tests the packages as an outside user gets them: packs every library as for publishing, and builds a new crate outside
# the workspace that depends on one of them only.
#
#   scripts/outside_crate.sh coin-perturb [--offline]   checks manifests and dependency trees, runs a program: a minute or two
#   scripts/outside_crate.sh coin-loss [--offline]      the same, but compiles burn: many minutes the first time
#   scripts/outside_crate.sh manifests                  checks the packed manifests only, without compiling
#
# COIN_OUTSIDE_DIR is the folder that keeps the files between calls (default: one in the temporary folder).
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
what="${1:?coin-perturb, coin-loss or manifests}"
offline=()
[ "${2:-}" = "--offline" ] && offline=(--offline)
work="${COIN_OUTSIDE_DIR:-${TMPDIR:-/tmp}/coin-outside-crate}"
# All crates of the workspace that are published.
libraries=()
for manifest in "$root"/crates/*/Cargo.toml; do
  grep -qx 'publish = false' "$manifest" || libraries+=("$(basename "$(dirname "$manifest")")")
done
version="$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")"
rust="$(sed -n '/^\[workspace.package\]/,/^$/s/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")"
fail() { echo "outside_crate: $*" >&2; exit 1; }
[ -n "$version" ] && [ -n "$rust" ] || fail "Cargo.toml: version or rust-version not found"

# A separate build folder, so that the outer build's lock and features are not shared.
export CARGO_TARGET_DIR="$work/target"
packages="$work/packages"
rm -rf "$packages" "$CARGO_TARGET_DIR/package"
mkdir -p "$packages"

# cargo resolves dependencies between the packages through a temporary local registry.
only=()
for library in "${libraries[@]}"; do only+=(-p "$library"); done
(cd "$root" && cargo package --quiet --no-verify --allow-dirty --locked "${offline[@]}" "${only[@]}" 2>"$work/package.log") ||
  { cat "$work/package.log" >&2; fail "cargo package failed"; }
for library in "${libraries[@]}"; do tar -xzf "$CARGO_TARGET_DIR/package/$library-$version.crate" -C "$packages"; done

# Checks the requirements of crates.io and docs.rs for a manifest, and those of the workspace.
check_manifest() {
  local library="$1" folder="$packages/$1-$version"
  local manifest="$folder/Cargo.toml"
  grep -qx "rust-version = \"$rust\"" "$manifest" || fail "$library: the packed manifest lacks rust-version $rust"
  grep -qx 'license = "Apache-2.0"' "$manifest" || fail "$library: missing license"
  grep -q '^description = "..*"' "$manifest" || fail "$library: missing description"
  grep -qx 'readme = "README.md"' "$manifest" || fail "$library: missing readme"
  grep -q '^\[package.metadata.docs.rs\]' "$manifest" || fail "$library: missing settings for docs.rs"
  cmp -s "$root/LICENSE" "$folder/LICENSE" || fail "$library: LICENSE is missing or differs from the workspace's"
  [ -s "$folder/README.md" ] || fail "$library: README.md is missing or empty"
  ! grep -nE '^path = "\.\.|^git = ' "$manifest" || fail "$library: depends on a path or a git repository"
  local list
  for list in keywords categories; do
    # At most five of each, keywords of at most 20 characters.
    local values
    values="$(sed -n "/^$list = \[/,/\]/p" "$manifest" | grep -o '"[^"]*"' | tr -d '"')"
    [ -n "$values" ] || fail "$library: missing $list"
    [ "$(wc -l <<<"$values")" -le 5 ] || fail "$library: more than five $list"
    [ "$list" = categories ] || ! grep -qvE '^[a-zA-Z0-9][a-zA-Z0-9_+-]{0,19}$' <<<"$values" || fail "$library: crates.io does not accept one of the keywords"
  done
}

# Creates a new crate that depends on one library. The library comes from the packed files, other crates at the versions of
# the workspace's lock file.
fresh_crate() {
  local library="$1" dependencies="$2" program="$3"
  outside="$work/outside-$library"
  rm -rf "$outside"
  mkdir -p "$outside/src"
  {
    printf '[package]\nname = "outside"\nversion = "0.0.0"\nedition = "2024"\nrust-version = "%s"\npublish = false\n\n' "$rust"
    printf '[workspace]\n\n[dependencies]\n%s\n\n[patch.crates-io]\n' "$dependencies"
    local one
    for one in "${@:4}"; do printf '%s = { path = "%s" }\n' "$one" "$packages/$one-$version"; done
  } >"$outside/Cargo.toml"
  printf '%s\n' "$program" >"$outside/src/main.rs"
  cp "$root/Cargo.lock" "$outside/Cargo.lock"
}

# Names of all dependencies of the new crate, without development dependencies.
tree() { (cd "$outside" && cargo tree "${offline[@]}" --edges normal,build --prefix none "$@" --format '{p}') | awk '{print $1}' | sort -u; }

forbid() {
  local names="$1"
  local name
  for name in "${@:2}"; do
    ! grep -qxE "$name" <<<"$names" || fail "the dependency tree contains $(grep -xE "$name" <<<"$names" | head -1)"
  done
}

# Dependencies of the other crates that coin-loss must not have. (burn itself has some that coin-data also has, such as `toml`.)
large=(tokenizers parquet ureq clap 'hf-hub' csv indicatif mimalloc ctrlc reqwest tokio)

case "$what" in
manifests)
  for library in "${libraries[@]}"; do check_manifest "$library"; done
  echo "${#libraries[@]} packed manifests meet the requirements of crates.io and docs.rs"
  ;;
coin-perturb)
  for library in coin-core coin-data coin-perturb; do check_manifest "$library"; done
  fresh_crate coin-perturb "coin-perturb = \"$version\"" "$(cat "$root/scripts/outside_crate/perturb.rs")" coin-perturb coin-core coin-data
  names="$(tree)"
  # coin-data reads tasks as TOML and writes files atomically, so `toml` and `tempfile` are allowed, but no tensor or
  # network crates.
  forbid "$names" 'burn.*' 'cubecl.*' tokenizers parquet ureq clap 'hf-hub' safetensors reqwest tokio 'coin-(analysis|eval|hub|loss|model|report|train)' coin
  said="$(cd "$outside" && cargo run --quiet "${offline[@]}")"
  [ "$said" = "labels intact: 4 of 4" ] || fail "unexpected output of the program: $said"
  echo "coin-perturb: $(wc -l <<<"$names") crates with the program, no burn; $said"
  ;;
coin-loss)
  check_manifest coin-loss
  program="$(cat "$root/scripts/outside_crate/loss.rs")"
  # Any version of burn that is compatible with it.
  burn="$(sed -n 's/^burn = { version = "\([^"]*\)".*/\1/p' "$root/crates/coin-loss/Cargo.toml")"
  [ "$burn" = 0.22 ] || fail "coin-loss requires burn \"$burn\", expected \"0.22\""
  # With a GPU backend instead of the CPU's. Only resolved, not compiled. coin-loss itself must not enable a backend.
  fresh_crate coin-loss "$(printf 'coin-loss = "%s"\nburn = { version = "%s", default-features = false, features = ["std", "optim", "wgpu"] }' "$version" "$burn")" "$program" coin-loss
  (cd "$outside" && cargo tree --edges features -i burn >"$work/features.txt")
  for feature in std optim wgpu; do grep -q "burn feature \"$feature\"" "$work/features.txt" || fail "burn's feature $feature is not enabled"; done
  ! grep -q 'burn feature "flex"' "$work/features.txt" || fail "coin-loss enables burn's feature flex"
  [ "$(tree | grep -cx burn)" = 1 ] || fail "the dependency tree contains more than one version of burn"
  # The minimum that a user can write: burn without default features, with the CPU backend.
  fresh_crate coin-loss "$(printf 'coin-loss = "%s"\nburn = { version = "%s", default-features = false, features = ["std", "optim", "flex"] }' "$version" "$burn")" "$program" coin-loss
  names="$(tree)"
  forbid "$names" "${large[@]}" 'coin-(analysis|core|data|eval|hub|model|perturb|report|train)' coin
  # The direct dependencies.
  direct="$(cd "$outside" && cargo tree "${offline[@]}" -p coin-loss --edges normal,build --depth 1 --prefix none --format '{p}' | awk '{print $1}' | sort -u | tr '\n' ' ')"
  [ "$direct" = "burn coin-loss rayon serde thiserror " ] || fail "coin-loss depends on: $direct"
  (cd "$outside" && cargo check --quiet "${offline[@]}")
  echo "coin-loss: $(wc -l <<<"$names") crates with the program; direct dependencies are burn, rayon, serde and thiserror; no backend is forced; the program type-checks"
  ;;
*) fail "$what: expected coin-perturb, coin-loss or manifests" ;;
esac
