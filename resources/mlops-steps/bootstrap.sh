#!/bin/sh
# Finds a Python that is new enough and lets it run bootstrap.py, which lies in the temporary folder of the workspace.
# Standard output is for the Groovy step; it ends with the line exit=CODE.
least=3.10

ask() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

fail() {
  echo "problem=$1"
  echo "$1" >&2
  echo "exit=2"
  exit 0
}

found=
set -- python3 python3.14 python3.13 python3.12 python3.11 python3.10
[ -z "${MLOPS_PYTHON:-}" ] || set -- "$MLOPS_PYTHON"
for python in "$@"; do
  if version=$(ask "$python"); then
    "$python" "${WORKSPACE_TMP:-$WORKSPACE@tmp}/mlops-steps/bootstrap.py"
    echo "exit=$?"
    exit 0
  fi
  [ -z "$version" ] || found="$found $python is Python $version;"
done
if [ -n "$found" ]; then
  fail "Python $least or later is needed on this agent:$found install one, or name it: mlopsSetup(python: '/path/to/python3')"
fi
fail "no Python on this agent ($1): install Python $least or later, or name it: mlopsSetup(python: '/path/to/python3')"
