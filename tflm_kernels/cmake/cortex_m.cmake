# Toolchain file: GCC for a Cortex-M, on the QEMU board of the core.
#   cmake --toolchain <...>/tflm_kernels/cmake/cortex_m.cmake -DQUANTMCU_CORE=cortex-m4 ...
include("${CMAKE_CURRENT_LIST_DIR}/cores.cmake")

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES QUANTMCU_CORE)

set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
quantmcu_core_field("${QUANTMCU_CORE}" flags quantmcu_flags)
set(CMAKE_C_FLAGS_INIT "${quantmcu_flags} -mthumb")
set(CMAKE_CXX_FLAGS_INIT "${quantmcu_flags} -mthumb -fno-threadsafe-statics -fno-use-cxa-atexit")
