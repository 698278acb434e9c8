# Installs Weir to a prefix of its own and builds examples/adapter-lines against it: cmake -DTREE= -DOUT=
# -DSOURCE= -DCOMPILER= -DSANITIZE= -P.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${result}\n${said}")
  endif()
endfunction()

file(REMOVE_RECURSE ${OUT})
run(${CMAKE_COMMAND} --install ${TREE} --prefix ${OUT}/prefix)
set(flags "")
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE}")
endif()
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE} -B ${OUT}/build -DCMAKE_PREFIX_PATH=${OUT}/prefix
    -DCMAKE_C_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS=${flags}")
run(${CMAKE_COMMAND} --build ${OUT}/build)
