#!/usr/bin/env bash
# install_test.sh SOURCE BUILD CMAKE CC - installs into a temporary prefix and uses what is there: a program
# is compiled against the installed headers with pkg-config alone, the man pages are pages, the program runs.
set -euo pipefail
source=$1
build=$2
cmake=$3
cc=$4
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

DESTDIR= "$cmake" --install "$build" --prefix "$prefix" >"$prefix/log"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name weir.pc)")
# shellcheck disable=SC2046 # flags are words
"$cc" -std=c11 -Wall -Wextra -Werror -o "$prefix/embed" "$source/examples/embed.c" $(pkg-config --cflags --libs weir)
LD_LIBRARY_PATH=$(pkg-config --variable=libdir weir) "$prefix/embed" "$prefix/data"

if [ -x "$prefix/bin/weir" ]; then
    "$prefix/bin/weir" version | grep -q '^weir '
    for page in weir.1 weir-pub.1 weir-topic-create.1; do
        grep -q '^\.TH ' "$prefix/share/man/man1/$page"
    done
    bash -n "$prefix/share/bash-completion/completions/weir"
fi
echo "installed, compiled, ran"
