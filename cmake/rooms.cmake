# How a room is declared, and the flags that every one of them is built with.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(weir_flags INTERFACE)
target_include_directories(weir_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
target_compile_definitions(weir_flags INTERFACE _GNU_SOURCE)
target_compile_options(weir_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wwrite-strings -Wformat=2 -Wvla -Wundef -Wimplicit-fallthrough -fno-strict-aliasing
  -fstack-protector-strong -fno-omit-frame-pointer)
# assert stays in whatever the build type: ours are on in release builds, and tests do work inside them.
target_compile_options(weir_flags INTERFACE -UNDEBUG)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WEIR_SANITIZE)
  target_compile_definitions(weir_flags INTERFACE _FORTIFY_SOURCE=2)
  target_link_options(weir_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()
if(WEIR_FUZZ)
  target_compile_options(weir_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# weir_room(NAME SOURCES a.c b.c ROOMS base env LIBRARIES pkg::x)
# NAME is the folder's path with _ for /; sources are taken from the folder when none are given.
function(weir_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  if(NOT ROOM_SOURCES)
    file(GLOB ROOM_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  endif()
  if(NOT ROOM_SOURCES)
    message(FATAL_ERROR "room ${name} has no sources")
  endif()
  add_library(weir_${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(weir_${name} PUBLIC weir_flags)
  foreach(room ${ROOM_ROOMS})
    target_link_libraries(weir_${name} PUBLIC weir_${room})
  endforeach()
  target_link_libraries(weir_${name} PRIVATE ${ROOM_LIBRARIES})
endfunction()

# weir_package(NAME MODULE): an imported target pkg::NAME from pkg-config, required once named.
function(weir_package name module)
  pkg_check_modules(WEIR_PKG_${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(pkg_${name} INTERFACE)
  target_link_libraries(pkg_${name} INTERFACE PkgConfig::WEIR_PKG_${name})
  add_library(pkg::${name} ALIAS pkg_${name})
endfunction()
