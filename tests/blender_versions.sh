#!/usr/bin/env bash
# Runs the tests that touch Blender in the Blenders that the README's command leaves out:
#   tests/blender_versions.sh [4.2|5.0|5.2]...     (all three without an argument)
# Each gets a virtual environment of its own, .venv-VERSION, made when it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {  # prints the path of a Python that starts: on the PATH, or one that pyenv keeps
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    if "$candidate" -c "" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

run_tests() {  # version, Python, NumPy
  local environment=".venv-$1" python
  if ! python=$(find_python "$2"); then
    echo "SKIPPED: Blender $1 needs Python $2, and there is none here." >&2
    return
  fi
  if [ ! -e "$environment/installed" ]; then
    rm -rf "$environment"
    "$python" -m venv "$environment"
    "$environment/bin/pip" install -q "bpy==$1.*" "numpy$3" "onnxruntime<2" "safetensors<1" \
      "pytest>=8,<10" "pytest-timeout>=2.3,<3"
    touch "$environment/installed"
  fi
  echo "== Blender $1"
  "$environment/bin/python" -m pytest -q \
    tests/addon tests/package/test_install.py tests/test_job.py tests/runtime/test_worker_process.py
}

if [ $# -eq 0 ]; then set -- 4.2 5.0 5.2; fi
for version in "$@"; do
  case "$version" in
    4.2) run_tests 4.2 3.11 "==1.24.3" ;;  # the NumPy that Blender 4.2 comes with
    5.0) run_tests 5.0 3.11 "<2" ;;
    5.2) run_tests 5.2 3.13 ">=2.2,<3" ;;
    *) echo "Blender $version is none of 4.2 5.0 5.2" >&2; exit 2 ;;
  esac
done
