#!/bin/bash
# Real TFLM with our ops: builds tflm_kernels/examples/hello_world and emitted projects of its models against the sources in
# TFLM_DIR and runs them on the host and on a Cortex-M4 in QEMU. TFLM_DIR: a checkout of tensorflow/tflite-micro at the commit that third_party/README.md names,
# in which TFLM's `make third_party_downloads` has run (or TFLM_DOWNLOADS: a folder with flatbuffers, gemmlowp and ruy).
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -z ${TFLM_DIR:-} ]]; then
  echo "make test-tflm: SKIPPED, NOTHING TESTED: set TFLM_DIR to a checkout of tensorflow/tflite-micro"
  exit 0
fi
readonly DOWNLOADS=${TFLM_DOWNLOADS:-$TFLM_DIR/tensorflow/lite/micro/tools/make/downloads}
readonly OUT=$PWD/build/hello_world
readonly SYNTAX=$PWD/build/tflm_syntax

cores=(host m4)
if ! command -v arm-none-eabi-g++ >/dev/null || ! command -v qemu-system-arm >/dev/null; then
  echo "make test-tflm: NOTHING RUN ON CORTEX-M: gcc-arm-none-eabi or qemu-system-arm is missing"
  cores=(host)
fi

# Programs of one core and one TFLM share TFLM's objects; tflm_build.mk compiles once what all its files include. -O1 is
# enough to be right. TFLM's ops run on our kernels or its own, though CMSIS_NN_DIR may be set.
run_make() { # folder, core, TFLM, objects, goals
  make -s -j"$(nproc)" -C "$1" -f Makefile -f "$PWD/tools/tflm_build.mk" "${@:5}" CORE="$2" QUANTMCU_DIR="$PWD" \
    TFLM_DIR="$3" TFLM_DOWNLOADS="$DOWNLOADS" OBJECT_DIR="$4/$2" CXXFLAGS=-O1 CMSIS_NN_DIR= \
    PYTHON="$PWD/.venv/bin/python"
}

# Newer versions of TFLM have in tflite::micro what this one has in tflite.
readonly MOVED=$PWD/build/moved_tflm
.venv/bin/python -m tools.moved_tflm --tflm_dir "$TFLM_DIR" --output_dir "$MOVED"
for headers in "$TFLM_DIR" "$MOVED"; do
  echo "make test-tflm: tflm_abi.h and the ops against the headers in $headers"
  flags=(-std=c++17 -DTF_LITE_STATIC_MEMORY -DQUANTMCU_USE_TFLM_HEADERS -I. -isystem "$headers"
    -isystem "$DOWNLOADS/flatbuffers/include" -isystem "$DOWNLOADS/gemmlowp" -isystem "$DOWNLOADS/ruy")
  g++ "${flags[@]}" -fsyntax-only -fno-access-control -Wno-invalid-offsetof -DUSE_TFLM_COMPRESSION \
    third_party/tflm_abi/layout_check.cc
  common=$SYNTAX/$(basename "$headers")/tflm_build.h
  mkdir -p "$(dirname "$common")" && cp tools/tflm_build.h "$common"
  g++ "${flags[@]}" -x c++-header "$common" -o "$common.gch"
  g++ "${flags[@]}" -include "$common" -fsyntax-only -Wall -Wextra -Werror \
    tflm_kernels/micro/{,fast_ops/}*.cc
done

echo "make test-tflm: the Arduino library with the ops"
readonly ARDUINO=$PWD/build/arduino
.venv/bin/python -m tools.arduino_library --tflm --output_dir "$ARDUINO"
g++ -std=c++17 -fsyntax-only -Wall -Wextra -Werror -I"$ARDUINO/src" -isystem "$TFLM_DIR" \
  -isystem "$DOWNLOADS/flatbuffers/include" -isystem "$DOWNLOADS/gemmlowp" -isystem "$DOWNLOADS/ruy" \
  "$ARDUINO"/src/tflm_kernels/micro/{,fast_ops/}*.cc

# An arena for the kernels of a Cortex-M4 is enough on the host too.
.venv/bin/python -m tools.hello_world --output_dir "$OUT" --target tflm --core cortex-m4
for version in "$OUT"/*/; do
  for core in "${cores[@]}"; do
    echo "make test-tflm: $(basename "$version") on $core"
    run_make "$version" "$core" "$TFLM_DIR" "$OUT/.objects" all test
    symbols=$(nm -C "$version/build/$core/hello_world_test")
    if grep "quantmcu::.*::MaxPool2D(" <<<"$symbols"; then
      echo "make test-tflm: $version links a kernel that no stage of the network runs" >&2
      exit 1
    fi
  done
done

# The example's own test, on TFLM as it is and with its names moved, which no core changes.
run_example() { # core, TFLM, objects
  echo "make test-tflm: tflm_kernels/examples/hello_world on $1, TFLM in $2"
  run_make tflm_kernels/examples/hello_world "$1" "$2" "$3" test
}
for core in "${cores[@]}"; do run_example "$core" "$TFLM_DIR" "$OUT/.objects"; done
run_example host "$MOVED" "$OUT/.objects_moved"

# The same by TFLM's own Makefile, which builds all of TFLM and needs all its downloads.
if [[ -d $TFLM_DIR/tensorflow/lite/micro/tools/make/downloads/kissfft ]]; then
  echo "make test-tflm: tflm_kernels/examples/hello_world by TFLM's own Makefile"
  PATH="$PWD/.venv/bin:$PATH" make -s -j"$(nproc)" -C "$TFLM_DIR" -f tensorflow/lite/micro/tools/make/Makefile \
    EXTERNAL_DIR="$PWD" BUILD_TYPE=release test_hello_world_quantmcu_test
else
  echo "make test-tflm: TFLM'S OWN MAKEFILE NOT RUN: its downloads are not in $TFLM_DIR"
fi
echo "make test-tflm: real TFLM and our ops agree with the recorded outputs on ${cores[*]}"
