# What third_party/arm_none_eabi/cores.bzl says of a core, for CMake.
set(QUANTMCU_ROOT "${CMAKE_CURRENT_LIST_DIR}/../..")
get_filename_component(QUANTMCU_ROOT "${QUANTMCU_ROOT}" ABSOLUTE)

# The key of the table for a core as `emit --core` spells it (cortex-m4) or as the table does (m4).
function(quantmcu_core_key core output)
  string(REGEX REPLACE "^cortex-" "" key "${core}")
  string(REPLACE "m0+" "m0plus" key "${key}")
  file(STRINGS "${QUANTMCU_ROOT}/third_party/arm_none_eabi/cores.bzl" lines REGEX "^    \"m[^\"]*\": {$")
  string(REGEX MATCHALL "m[0-9a-z]+" keys "${lines}")
  if(NOT key IN_LIST keys)
    string(REPLACE ";" ", cortex-" shown "${keys}")
    message(FATAL_ERROR "QUANTMCU_CORE is '${core}'; supported are cortex-${shown}, and no toolchain file for the host")
  endif()
  set(${output} "${key}" PARENT_SCOPE)
endfunction()

# A field of a core, as words with blanks between.
function(quantmcu_core_field core field output)
  quantmcu_core_key("${core}" key)
  file(READ "${QUANTMCU_ROOT}/third_party/arm_none_eabi/cores.bzl" table)
  string(REPLACE ";" " " table "${table}")
  string(REGEX MATCH "\"${key}\": {[^}]*}" entry "${table}")
  string(REGEX MATCH "\"${field}\": ([^\n]*)," ignored "${entry}")
  string(REGEX REPLACE "[]\",[]" "" value "${CMAKE_MATCH_1}")
  set(${output} "${value}" PARENT_SCOPE)
endfunction()
