#!/bin/sh
# Compares the WGPU backend with the CPU on a machine without a graphics card, using Mesa's software Vulkan. Runs the parity
# suite and the tests of missing devices and failed allocations. Arguments go to cargo, for example --release.
# COIN_PARITY_TABLE, if set, names the file for the table. The first build takes about 15 minutes on two cores, the suite 2.
set -eu
cd "$(dirname "$0")/.."

has_vulkan() {
    ldconfig -p 2>/dev/null | grep -q libvulkan.so.1 && ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1
}

if ! has_vulkan; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1
    else
        echo "no Vulkan driver found: install mesa-vulkan-drivers and libvulkan1 (Debian, Ubuntu), mesa-vulkan-drivers and" >&2
        echo "vulkan-loader (Fedora), or the graphics card's driver" >&2
        exit 2
    fi
fi

# Mesa needs a runtime folder, which containers often lack.
XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"
export XDG_RUNTIME_DIR
cargo test --locked -p coin --features wgpu --test parity --test devices --test device_memory "$@" -- --nocapture
