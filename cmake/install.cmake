# Headers, libraries, pkg-config, the program, its man pages and its completion.
install(TARGETS weir LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")

# The prefix is told relative to the .pc file: an install to another --prefix is right without a change.
file(RELATIVE_PATH WEIR_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" WEIR_PC_TO_PREFIX ${WEIR_PC_TO_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/weir.pc.in ${PROJECT_BINARY_DIR}/weir.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(WEIR_SERVER)
  install(TARGETS weir-client LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/weir-client.pc.in ${PROJECT_BINARY_DIR}/weir-client.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/weir-client.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(TARGETS weir_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${PROJECT_SOURCE_DIR}/clients/javascript/weir.js
                ${PROJECT_SOURCE_DIR}/clients/javascript/weir.d.ts
                ${PROJECT_SOURCE_DIR}/clients/javascript/package.json
          DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/javascript)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
          FILES_MATCHING PATTERN "*.1")
  install(FILES ${PROJECT_BINARY_DIR}/man/weir.bash
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME weir)
endif()
