#!/bin/sh
# Holds the WGPU backend against the CPU on a machine without a graphics card: Mesa's software Vulkan, the parity suite,
# and the tests of absent devices and of allocations that fail. Arguments go to cargo, for example --release.
# COIN_PARITY_TABLE, if set, names the file for the table. A first build takes about 15 minutes on two cores, the suite two.
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
        echo "no Vulkan driver: install mesa-vulkan-drivers and libvulkan1 (Debian, Ubuntu), mesa-vulkan-drivers and" >&2
        echo "vulkan-loader (Fedora), or the graphics card's driver" >&2
        exit 2
    fi
fi

# Mesa asks for a folder of the user's own; in a container there is none.
XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"
export XDG_RUNTIME_DIR
cargo test --locked -p coin --features wgpu --test parity --test devices --test device_memory "$@" -- --nocapture
