#!/usr/bin/env bash
# install_test.sh SOURCE BUILD CMAKE CC - installs into a temporary prefix and uses what is there: programs
# are compiled against the installed headers with pkg-config alone, the man pages are pages, the program runs
# and the client's example talks to it, and the yardstick measures the installed program by the installed drivers.
set -euo pipefail
source=$1
build=$2
cmake=$3
cc=$4
prefix=$(mktemp -d)
gateway=
trap '[ -z "$gateway" ] || kill "$gateway" || true; wait; rm -rf "$prefix"' EXIT

DESTDIR='' "$cmake" --install "$build" --prefix "$prefix" >"$prefix/log"
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name weir.pc)")

# compile NAME EXAMPLE MODULE...: $prefix/NAME of examples/EXAMPLE, with the flags of the modules; it finds
# its libraries as the examples' head comments say.
compile() {
    local name=$1 example=$2
    shift 2
    # shellcheck disable=SC2046 # flags are words
    "$cc" -std=c11 -Wall -Wextra -Werror -o "$prefix/$name" "$source/examples/$example" \
        -Wl,--no-as-needed $(pkg-config --cflags --libs "$@") "-Wl,-rpath,$(pkg-config --variable=libdir weir)"
}

# Starts the installed program on sockets that the system picks; returns when all of them listen.
serve() {
    "$prefix/bin/weir" serve --data "$prefix/gateway" --ports "$prefix/ports" --set mqtt.port=0 \
        --set http.port=0 --set nng.enabled=false >"$prefix/serve.log" 2>&1 &
    gateway=$!
    local tries=0
    until [ -s "$prefix/ports" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$gateway"; then
            cat "$prefix/serve.log"
            return 1
        fi
        sleep 0.1
    done
}

# bench WORD...: a short run of the installed yardstick, away from any checkout; results to standard output.
bench() {
    (cd "$prefix" && bin/weir bench --json --repeats 1 --seconds 0.1 --warm-up 0.05 "$@" 2>"$prefix/bench.log")
}

# drives DRIVER LIBRARY ROW SUBJECT: when the build has the driver, the installed one gives a figure and its version.
drives() {
    if [ -x "$build/bench/bench_driver_$1" ]; then
        bench "$3" --only "$4" >"$prefix/said"
        grep -q "\"$2\":\"[0-9]" "$prefix/said"
        grep "\"subject\":\"$4\"" "$prefix/said" | grep -q '"note":"",.*"figure":'
    fi
}

compile embed embed.c weir
"$prefix/embed" "$prefix/data"

if [ -x "$prefix/bin/weir" ]; then
    "$prefix/bin/weir" version | grep -q '^weir '
    for page in weir.1 weir-pub.1 weir-topic-create.1; do
        grep -q '^\.TH ' "$prefix/share/man/man1/$page"
    done
    bash -n "$prefix/share/bash-completion/completions/weir"

    compile client client.c weir-client
    serve
    "$prefix/client" "unix:$prefix/gateway/weir.sock" greetings | tee "$prefix/said"
    grep -q 'offset 2, level disk$' "$prefix/said"
    grep -q '^2  greetings/client  C$' "$prefix/said"

    # Both libraries in one process keep to their own functions.
    compile both embed.c weir weir-client
    "$prefix/both" "$prefix/data" >"$prefix/said"
    foreign=$(nm -D --defined-only "$(pkg-config --variable=libdir weir-client)/libweir-client.so" |
        awk '$3 !~ /^weir_(client|err|bytes|level|version|cleanup|topic_settings?|topic_kind|group_settings?|group_place|group_name|model|mode|fate|standing)/ && $2 != "A" { print $3 }')
    [ -z "$foreign" ] || { echo "libweir-client.so shows $foreign"; exit 1; }

    bench 1 --only weir >"$prefix/said"
    [ "$(wc -l <"$prefix/said")" = 2 ]
    /usr/bin/python3 - "$prefix/share/weir/bench/peers" "$prefix/said" <<'EOF'
import json, sys
for line in open(sys.argv[2]):
    one = json.loads(line)
    assert one["figure"] > 0 and one["note"] == "" and one["lost"] == 0, line
    if one["config"]:
        assert one["settings"] == open(sys.argv[1] + "/" + one["config"]).read(), "not the installed " + one["config"]
EOF
    # What the build has is there; where a driver is not, the line that installs its library is said.
    drives zmq libzmq 19e zmq
    drives nng nng 19d nng
    rm -rf "$prefix/libexec/weir"
    bench 19e --only zmq >"$prefix/said"
    grep -q 'driver not built: apt-get install --no-install-recommends libzmq3-dev' "$prefix/said"
fi
echo "installed, compiled, ran"
