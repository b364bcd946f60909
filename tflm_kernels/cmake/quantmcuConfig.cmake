include("${CMAKE_CURRENT_LIST_DIR}/quantmcuTargets.cmake")
