# The client of browsers and Node, and the page: NAME_test.mjs is the test interop.NAME. `npm ci` in this
# folder brings what they use; without that, node or a browser they count as skipped (77), and say so.
find_program(WEIR_NODE node)
function(weir_web_test name seconds)
  set(limit ${seconds})
  if(WEIR_NODE)
    add_test(NAME interop.${name} COMMAND ${WEIR_NODE} ${CMAKE_CURRENT_SOURCE_DIR}/${name}_test.mjs)
  else()
    add_test(NAME interop.${name} COMMAND sh -c "echo 'SKIPPED: there is no node'; exit 77")
  endif()
  set_tests_properties(interop.${name} PROPERTIES
    TIMEOUT ${limit} LABELS "web;gateway" SKIP_RETURN_CODE 77
    ENVIRONMENT "WEIR_BIN=$<TARGET_FILE:weir_program>;WEIR_SLOW=${WEIR_SLOW}")
endfunction()
weir_web_test(weir_js 180)
weir_web_test(javascript_page 180)
weir_web_test(worker_page 180)
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/console_test.mjs)
  weir_web_test(console 240)
  set_tests_properties(interop.console PROPERTIES RUN_SERIAL TRUE LABELS "web;once") # it measures frames
endif()
