# Makes the list of files that are built into the program: WEIR_PAGES_SOURCE, a C file that takes each
# one in with .incbin. A page is "/" + its name under console/; index.html is "/". The client library
# is /weir.js; the chart library comes from the installed package and is /chart.js.
set(pages)
file(GLOB console_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/console/*.html
     ${PROJECT_SOURCE_DIR}/console/*.js ${PROJECT_SOURCE_DIR}/console/*.css
     ${PROJECT_SOURCE_DIR}/console/*.svg)
foreach(file ${console_files})
  get_filename_component(name ${file} NAME)
  list(APPEND pages "/${name}=${file}")
  if(name STREQUAL "index.html")
    list(APPEND pages "/=${file}")
  endif()
endforeach()
file(GLOB client_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/clients/javascript/weir.js)
foreach(file ${client_files})
  list(APPEND pages "/weir.js=${file}")
endforeach()
set(WEIR_CHART_JS /usr/share/javascript/chart.js/chart.min.js CACHE FILEPATH
    "The chart library that the console loads as /chart.js (package libjs-chart.js)")
if(EXISTS ${WEIR_CHART_JS})
  list(APPEND pages "/chart.js=${WEIR_CHART_JS}")
endif()

set(objects "")
set(rows "")
set(WEIR_PAGES_FILES)
set(index 0)
foreach(page ${pages})
  string(REGEX MATCH "^([^=]*)=(.*)$" unused "${page}")
  set(path ${CMAKE_MATCH_1})
  set(file ${CMAKE_MATCH_2})
  list(APPEND WEIR_PAGES_FILES ${file})
  if(file MATCHES "\\.html$")
    set(type "text/html; charset=utf-8")
  elseif(file MATCHES "\\.js$")
    set(type "text/javascript; charset=utf-8")
  elseif(file MATCHES "\\.css$")
    set(type "text/css; charset=utf-8")
  else()
    set(type "image/svg+xml")
  endif()
  string(APPEND objects "PAGE(${index}, \"${file}\")\n")
  string(APPEND rows "    {\"${path}\", \"${type}\", page_${index}_begin, page_${index}_end},\n")
  math(EXPR index "${index} + 1")
endforeach()

set(WEIR_PAGES_SOURCE ${CMAKE_CURRENT_BINARY_DIR}/pages_embedded.c)
file(CONFIGURE OUTPUT ${WEIR_PAGES_SOURCE} CONTENT "/* Made by adapters/websocket/pages.cmake. */
#include \"adapters/websocket/pages.h\"

#define PAGE(index, file)                                                                          \\
    extern const uint8_t page_##index##_begin[];                                                   \\
    extern const uint8_t page_##index##_end[];                                                     \\
    __asm__(\".section .rodata\\n.global page_\" #index \"_begin\\n.hidden page_\" #index \"_begin\\n\"     \\
            \".global page_\" #index \"_end\\n.hidden page_\" #index \"_end\\npage_\" #index \"_begin:\\n\"   \\
            \".incbin \\\"\" file \"\\\"\\npage_\" #index \"_end:\\n.byte 0\\n.text\\n\");

@objects@
const weir_web_file weir_web_files[] = {
@rows@    {NULL, NULL, NULL, NULL},
};
" @ONLY)
set_source_files_properties(${WEIR_PAGES_SOURCE} PROPERTIES OBJECT_DEPENDS "${WEIR_PAGES_FILES}")
