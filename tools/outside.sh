#!/bin/sh
# outside.sh PYTHON: what `make test-outside` needs beside `make setup`. poppler-utils reads a PDF back; a PostgreSQL
# server holds leads; Chromium, driven by playwright, opens the what-if page. Where one cannot be installed, the tests that need it are skipped and say so.
set -eu
python=$1

have() { command -v "$1" >/dev/null 2>&1; }

apt_install() { # COMMAND PACKAGE
    have "$1" && return 0
    if have apt-get && [ "$(id -u)" = 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; } >/dev/null 2>&1 && return 0
    fi
    echo "$2 could not be installed; the tests that need it are skipped"
}

apt_install pdftotext poppler-utils
have initdb || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || apt_install initdb postgresql
have chromium-browser || have google-chrome || apt_install chromium chromium

pip_install() { # MODULE PACKAGE
    "$python" -c "import $1" >/dev/null 2>&1 && return 0
    { have uv && uv pip install --quiet --python "$python" -c constraints.txt "$2"; } >/dev/null 2>&1 ||
        "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt "$2" >/dev/null 2>&1 ||
        echo "$2 could not be installed; the tests that need it are skipped"
}

pip_install psycopg 'psycopg[binary]'
pip_install playwright playwright # the package alone: its own browsers are not downloaded
