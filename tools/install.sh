# tools/install.sh - sourced by weir-up and weir-test: installs what is missing of tools/packages.
#
#     weir_install build run      # the kinds wanted
#
# Says what it will install before it does. With nothing missing it needs no root and does nothing.

weir_missing() {
    local kind package command wanted=" $* "
    while read -r kind package command; do
        case "$kind" in '' | '#'*) continue ;; esac
        case "$wanted" in *" $kind "*) ;; *) continue ;; esac
        if [ -n "$command" ] && command -v "$command" >/dev/null 2>&1; then
            continue
        fi
        if ! dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed; then
            echo "$package"
        fi
    done <tools/packages
}

weir_install() {
    local missing as_root=()
    missing=$(weir_missing "$@" | sort -u | tr '\n' ' ')
    if [ -z "$missing" ]; then
        return 0
    fi
    echo "To install, from Debian: $missing" >&2
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "This needs root: run it as root, or install sudo, or install these packages yourself." >&2
            return 1
        fi
        as_root=(sudo)
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 &&
        # shellcheck disable=SC2086 # one word per package is meant
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends $missing >&2
}
