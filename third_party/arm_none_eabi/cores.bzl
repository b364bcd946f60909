"""How code for Cortex-M is compiled and linked, and on which QEMU board each core's images run.

Literals only, so that Python reads them too (tools/qemu_run.py). The clock and memory of a core are its board's files in
tflm_kernels/boards.
"""

COMPILE_FLAGS = [
    "-mthumb",
    "-masm-syntax-unified",
    "-ffunction-sections",
    "-fdata-sections",
]

CPP_FLAGS = [
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fno-use-cxa-atexit",
]

# Start-up code and linker scripts are ours; of the C library comes only what is called: memcpy, memset.
LINK_FLAGS = [
    "-mthumb",
    "-nostartfiles",
    "-Wl,--gc-sections",
    "-Wl,--fatal-warnings",
]

CORES = {
    # The M0 board has 16 KB, so ARMv6-M code runs on the M3 board with unaligned accesses trapped.
    "m0plus": {
        "flags": ["-mcpu=cortex-m0plus", "-mfloat-abi=soft"],
        "machine": "mps2-an385",
        "clock": "mps2.cc",
        "memory": "mps2.ld",
    },
    "m3": {
        "flags": ["-mcpu=cortex-m3", "-mfloat-abi=soft"],
        "machine": "mps2-an385",
        "clock": "mps2.cc",
        "memory": "mps2.ld",
    },
    "m4": {
        "flags": ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
        "machine": "mps2-an386",
        "clock": "mps2.cc",
        "memory": "mps2.ld",
    },
    # Single precision: what every Cortex-M7 with an FPU has.
    "m7": {
        "flags": ["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
        "machine": "mps2-an500",
        "clock": "mps2.cc",
        "memory": "mps2_an500.ld",
    },
    "m33": {
        "flags": ["-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
        "machine": "mps2-an505",
        "clock": "mps2_an505.cc",
        "memory": "mps2_an505.ld",
    },
    # cortex-m55 means MVE with integers and floats.
    "m55": {
        "flags": ["-mcpu=cortex-m55", "-mfloat-abi=hard"],
        "machine": "mps3-an547",
        "clock": "mps3_an547.cc",
        "memory": "mps3_an547.ld",
    },
}
