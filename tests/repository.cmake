# Tests of the repository as a whole: its rooms, its documents, its installation.
find_program(WEIR_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED) # where Debian's modules are
add_test(NAME repository.rooms COMMAND ${WEIR_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/rooms_test.py
         ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
foreach(name tour repository)
  add_test(NAME repository.${name} COMMAND ${WEIR_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${name}_test.py
           ${PROJECT_SOURCE_DIR})
endforeach()
add_test(NAME repository.build_types
         COMMAND ${WEIR_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/build_types_test.py
                 ${PROJECT_SOURCE_DIR} ${CMAKE_COMMAND} ${CMAKE_C_COMPILER})
set_tests_properties(repository.rooms repository.tour repository.repository repository.build_types
                     PROPERTIES TIMEOUT 180 LABELS "repository;once")
if(WEIR_SERVER) # without it the scenarios that the page names are not there
  add_test(NAME repository.promises
           COMMAND ${WEIR_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/promises_test.py ${PROJECT_SOURCE_DIR}
                   ${PROJECT_BINARY_DIR} ${CMAKE_CTEST_COMMAND})
  set_tests_properties(repository.promises PROPERTIES TIMEOUT 180 LABELS "repository;once")
  foreach(page limits configuration)
    string(REPLACE configuration config command ${page})
    add_test(NAME repository.${page}_page_is_fresh
             COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/fresh_test.sh $<TARGET_FILE:weir_program>
                     ${PROJECT_SOURCE_DIR}/docs/${page}.md ${command} --markdown)
    set_tests_properties(repository.${page}_page_is_fresh PROPERTIES LABELS "repository;once")
  endforeach()
endif()
if(WEIR_SERVER)
  foreach(group Records Topics Serving Words)
    string(TOLOWER ${group} name)
    add_test(NAME cli.${name}
             COMMAND ${WEIR_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/cli_test.py $<TARGET_FILE:weir_program> ${group})
    set_tests_properties(cli.${name} PROPERTIES TIMEOUT 180 LABELS "cli;gateway")
  endforeach()
  add_test(NAME cli.groups
           COMMAND ${WEIR_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/cli_group_test.py $<TARGET_FILE:weir_program>)
  set_tests_properties(cli.groups PROPERTIES TIMEOUT 180 LABELS "cli;gateway")
  add_test(NAME cli.why
           COMMAND ${WEIR_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/cli_why_test.py $<TARGET_FILE:weir_program>)
  set_tests_properties(cli.why PROPERTIES TIMEOUT 180 LABELS "cli;gateway")
  add_test(NAME cli.replay
           COMMAND ${WEIR_PYTHON} -B ${CMAKE_CURRENT_SOURCE_DIR}/replay_test.py $<TARGET_FILE:weir_program>)
  set_tests_properties(cli.replay PROPERTIES TIMEOUT 180 LABELS "cli;gateway")
endif()
if(NOT WEIR_SANITIZE)
  add_test(NAME repository.install
           COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/install_test.sh ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}
                   ${CMAKE_COMMAND} ${CMAKE_C_COMPILER})
  set_tests_properties(repository.install PROPERTIES TIMEOUT 180 LABELS "repository;once")
endif()
