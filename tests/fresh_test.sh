#!/usr/bin/env bash
# fresh_test.sh WEIR PAGE COMMAND... - fails when PAGE is not what `WEIR COMMAND...` prints.
set -euo pipefail
weir=$1
page=$2
shift 2
if ! diff -u "$page" <("$weir" "$@"); then
    echo "$page is stale; make it again: weir $* > $page" >&2
    exit 1
fi
