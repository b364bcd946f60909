#!/bin/sh
# Compiles each source of tflm_kernels/portable without a hosted library, exceptions or RTTI, and
# fails if the whole needs any symbol but memcpy and memset. Arguments: the sources.
set -eu

objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

for source in "$@"; do
  case "$source" in
    *.cc)
      "${CXX:-c++}" -std=c++17 -O2 -Wall -Wextra -Werror -ffreestanding -fno-exceptions -fno-rtti \
        -fno-threadsafe-statics -fno-stack-protector -I. -c "$source" \
        -o "$objects/$(basename "$source").o"
      ;;
  esac
done

ld -r -o "$objects/all.o" "$objects"/*.cc.o
foreign=$(nm -u "$objects/all.o" | awk '{ print $2 }' |
  grep -v -x -e memcpy -e memset -e _GLOBAL_OFFSET_TABLE_ || true)
if [ -n "$foreign" ]; then
  echo "tflm_kernels/portable needs symbols beyond memcpy and memset: $foreign" >&2
  exit 1
fi
