#!/bin/sh
# The fast tests with each of these Pythons: `make test-pythons`. What is not found is skipped, with a
# line that says so. Arguments go to pytest. Fails if any of them fails, or if none was found.
#
# Each Python has an environment of its own in build/pythons, made once for each pyproject.toml.
set -u
cd "$(dirname "$0")/.."
VERSIONS=${VERSIONS:-"3.11 3.12 3.13"}
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

runs() { # PYTHON VERSION: whether it is that version, and can make environments
    "$1" -c "import sys, venv, ensurepip
sys.exit('%d.%d' % sys.version_info[:2] != '$2')" >/dev/null 2>&1
}

find_python() { # VERSION: prints the path of one; a name on PATH proves nothing, so it is run
    roots=${PYENV_ROOT:-$HOME/.pyenv}
    for python in "python$1" python3 "$roots"/versions/"$1"*/bin/python "/usr/local/bin/python$1"; do
        if runs "$python" "$1"; then
            "$python" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

found=0
failed=""
for version in $VERSIONS; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "== Python $version: not found, skipped"
        continue
    fi
    found=$((found + 1))
    place=build/pythons/$version
    stamp=$place/.installed
    if ! [ -x "$place/bin/python" ] || ! cmp -s pyproject.toml "$stamp"; then
        echo "== Python $version: setting up $place"
        rm -rf "$place"
        if ! { "$python" -m venv "$place" &&
            "$place/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]' &&
            cp pyproject.toml "$stamp"; }; then
            echo "== Python $version: FAILED to set up"
            failed="$failed $version"
            continue
        fi
    fi
    echo "== $("$place/bin/python" -V)"
    if ! "$place/bin/python" -m pytest -m "not soak and not slow" -n 3 --dist loadgroup \
        -o cache_dir="build/pythons/cache-$version" "$@"; then
        failed="$failed $version"
    fi
done

if [ "$found" = 0 ]; then
    echo "make: found none of Python $VERSIONS" >&2
    exit 1
fi
if [ -n "$failed" ]; then
    echo "make: failed with Python$failed" >&2
    exit 1
fi
echo "== passed with all $found that were found"
