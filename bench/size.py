#!/usr/bin/env python3
"""Builds the daemon as it is packaged, and without TLS and webhooks: size of the binary, and number of crates.

usage: bench/size.py [--save]        (needs cargo)
"""

import subprocess

from measuring import ROOT, save


def measure(target, *features):
    """Megabytes of the binary, and the crates that it is made from."""
    build = ["cargo", "build", "--profile", "dist", "--locked", "--quiet", "--bin", "mqtt-bridge"]
    subprocess.run([*build, "--target-dir", target, *features], cwd=ROOT, check=True)
    tree = ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", *features]
    lines = subprocess.run(tree, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    crates = {line.removesuffix(" (*)") for line in lines if line}
    return round((target / "dist/mqtt-bridge").stat().st_size / 1e6, 1), len(crates)


def main():
    size, crates = measure(ROOT / "target")
    without_tls, fewer = measure(ROOT / "target/size", "--no-default-features")
    print(f"{size} MB and {crates} crates; without TLS and webhooks {without_tls} MB and {fewer} crates")
    save("size", {"mb": size, "crates": crates, "without_tls_mb": without_tls, "without_tls_crates": fewer})


main()
