# quantmcu::self_test: the test of an emitted project and the board under it; quantmcu_add_test(<program>) runs one, in
# QEMU where cortex_m.cmake is the toolchain file.
set(boards "${QUANTMCU_ROOT}/tflm_kernels/boards")
if(QUANTMCU_CORE)
  quantmcu_core_field("${QUANTMCU_CORE}" clock clock)
  quantmcu_core_field("${QUANTMCU_CORE}" memory memory)
  quantmcu_sources(cortex_m found)
  list(APPEND sources "${boards}/${clock}" ${found})
  set(link_options -nostartfiles "SHELL:-T ${boards}/${memory}" "SHELL:-T ${boards}/sections.ld")
else()
  quantmcu_sources(host found)
  list(APPEND sources ${found})
  set(link_options LINKER:-z,now) # functions are bound at the start, not on the stack that is measured
endif()

# Objects, for a linker drops start-up code that nothing names.
add_library(quantmcu_self_test OBJECT EXCLUDE_FROM_ALL ${sources})
add_library(quantmcu::self_test ALIAS quantmcu_self_test)
target_link_libraries(quantmcu_self_test PUBLIC quantmcu_kernels)
target_compile_options(quantmcu_self_test PUBLIC -O2 -Wall -Wextra -fno-exceptions -fno-rtti -ffunction-sections -fdata-sections)
target_compile_definitions(quantmcu_self_test PUBLIC QUANTMCU_SELF_TEST)
target_link_options(quantmcu_self_test PUBLIC ${link_options} LINKER:--gc-sections)

function(quantmcu_add_test program)
  target_link_libraries(${program} PRIVATE quantmcu_self_test)
  set(run)
  if(QUANTMCU_CORE)
    find_program(QUANTMCU_PYTHON NAMES python3 python REQUIRED)
    quantmcu_core_key("${QUANTMCU_CORE}" core)
    set(run "${QUANTMCU_PYTHON}" "${QUANTMCU_ROOT}/tools/qemu_run.py" --core ${core})
  endif()
  add_test(NAME ${program} COMMAND ${run} $<TARGET_FILE:${program}>)
endfunction()
