#!/bin/sh
# test-versions.sh [TEST ...]: the fast tests, or those that are named, on each Python of VERSIONS (default: 3.12 3.13
# 3.14) that is found, each in an environment of its own, build/py3.12 and so on; before them one preview of the demo.
# A version that is not found is skipped, and said. Ends with 1 where something fails on one, and where none was found.
# PYTHON=/path/to/python: that one alone.
set -u
cd "$(dirname "$0")/.." || exit 1

PREVIEW="run forecast/bundled/demo.toml --preview --outputs csv --quiet --json-line"
ran="" failed="" skipped=""

one() { # VERSION PYTHON TEST ...
    home=build/py$1
    (
        export PYTHON="$2"
        shift 2
        if [ ! -e "$home/.ready" ] || [ -n "$(find pyproject.toml constraints.txt -newer "$home/.ready")" ]; then
            sh tools/make-environment.sh "$home" && touch "$home/.ready" || exit 1
        fi
        out=$(mktemp -d)
        trap 'rm -rf "$out"' EXIT
        "$home/bin/python" -m forecast $PREVIEW --out "$out" &&
            "$home/bin/python" -m pytest -q -n 2 --dist worksteal -p no:cacheprovider "$@"
    )
}

[ -z "${PYTHON:-}" ] || VERSIONS=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || exit 1
for version in ${VERSIONS:-3.12 3.13 3.14}; do
    if python=$(sh tools/find-python.sh "$version" 2>/dev/null); then
        echo "Python $version: $python"
        if one "$version" "$python" "$@"; then ran="$ran $version"; else failed="$failed $version"; fi
    else
        skipped="$skipped $version"
        echo "Python $version: not found here, skipped"
    fi
done
echo "passed:${ran:- none}; failed:${failed:- none}; not found:${skipped:- none}"
[ -n "$ran" ] && [ -z "$failed" ]
