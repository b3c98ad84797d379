# SPDX-License-Identifier: MIT
#
# src/<room>/*.c -> samara_objs -> libsamara.so and libsamara.a.
#
# Only samara_ symbols leave either of them. The compiler hides the rest
# (-fvisibility=hidden), which is all that a shared library needs; in an
# ordinary archive hidden symbols would still meet the embedder's own at link
# time. So all objects are first linked into one, its hidden symbols become
# local, and that object alone goes into the archive. (docs/decisions/0002)
set(samara_globs "")
if(SAMARA_ROOMS)
	foreach(room IN LISTS SAMARA_ROOMS)
		list(APPEND samara_globs "${PROJECT_SOURCE_DIR}/src/${room}/*.c")
	endforeach()
else()
	set(samara_globs "${PROJECT_SOURCE_DIR}/src/*/*.c")
endif()
file(GLOB samara_sources CONFIGURE_DEPENDS ${samara_globs})
if(NOT samara_sources)
	message(FATAL_ERROR "no source in src/${SAMARA_ROOMS}")
endif()

set(samara_visibility hidden)
if(SAMARA_OPEN)
	set(samara_visibility default)
endif()
if(SAMARA_SCHEDULE)
	list(FILTER samara_sources EXCLUDE REGEX "/base/rcu_guest\\.c$") # a part of liburcu's side
endif()
add_library(samara_objs OBJECT ${samara_sources})
set_target_properties(samara_objs PROPERTIES
	POSITION_INDEPENDENT_CODE ON
	C_VISIBILITY_PRESET ${samara_visibility})
target_include_directories(samara_objs PUBLIC
	"${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
target_compile_options(samara_objs PRIVATE
	-ftls-model=initial-exec -fno-semantic-interposition
	-Wmissing-prototypes -Wstrict-prototypes)
target_compile_definitions(samara_objs PRIVATE $<$<NOT:$<CONFIG:Debug>>:NDEBUG>)
include(CheckCCompilerFlag)
check_c_compiler_flag(-ftrivial-auto-var-init=pattern samara_has_pattern)
if(samara_has_pattern)
	target_compile_options(samara_objs PRIVATE
		$<$<CONFIG:Debug>:-ftrivial-auto-var-init=pattern>)
endif()
target_link_libraries(samara_objs PUBLIC samara_flags Threads::Threads PkgConfig::COMPRESSORS)
if(NOT SAMARA_SCHEDULE)
	target_link_libraries(samara_objs PUBLIC PkgConfig::URCU)
endif()

# Only linked with the scheduler, which is a part of the tests.
if(SAMARA_SCHEDULE)
	return()
endif()

add_library(samara SHARED $<TARGET_OBJECTS:samara_objs>)
set_target_properties(samara PROPERTIES
	VERSION ${PROJECT_VERSION}
	SOVERSION ${SAMARA_SOVERSION}
	LINKER_LANGUAGE C)
target_include_directories(samara INTERFACE
	$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
	$<INSTALL_INTERFACE:include>)
target_link_libraries(samara PRIVATE $<BUILD_INTERFACE:PkgConfig::URCU>
	$<BUILD_INTERFACE:PkgConfig::COMPRESSORS> $<BUILD_INTERFACE:Threads::Threads>)
# Never unmapped: a worker thread, thread exits and fork handlers come back to it (docs/decisions/0006).
set(samara_stays -Wl,-z,nodelete)
target_link_options(samara PRIVATE -Wl,-Bsymbolic-functions ${samara_stays})
if(SAMARA_SANITIZE)
	# The sanitizer's own symbols are in the program, so undefined ones stay.
	target_link_options(samara PRIVATE -fsanitize=${SAMARA_SANITIZE})
else()
	target_link_options(samara PRIVATE -Wl,--no-undefined)
endif()
if(SAMARA_COVERAGE)
	target_link_options(samara PRIVATE --coverage)
endif()
add_library(samara::samara ALIAS samara)

# GNU objcopy by name: with clang CMake would take LLVM's, whose version 14
# leaves an empty section group behind that the linker refuses.
find_program(SAMARA_OBJCOPY objcopy REQUIRED)
mark_as_advanced(SAMARA_OBJCOPY)
set(samara_one "${PROJECT_BINARY_DIR}/samara-one.o")
add_custom_command(OUTPUT "${samara_one}"
	COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o "${samara_one}.tmp" $<TARGET_OBJECTS:samara_objs>
	COMMAND ${SAMARA_OBJCOPY} --localize-hidden -R .note.stapsdt -R .stapsdt.base
		"${samara_one}.tmp" "${samara_one}"
	COMMAND ${CMAKE_COMMAND} -E rm "${samara_one}.tmp"
	DEPENDS samara_objs $<TARGET_OBJECTS:samara_objs>
	COMMAND_EXPAND_LISTS VERBATIM
	COMMENT "Joining all objects into one, hidden symbols made local")
add_library(samara_static STATIC "${samara_one}")
set_source_files_properties("${samara_one}" PROPERTIES GENERATED ON EXTERNAL_OBJECT ON)
set_target_properties(samara_static PROPERTIES
	OUTPUT_NAME samara
	LINKER_LANGUAGE C)
target_include_directories(samara_static INTERFACE
	$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
	$<INSTALL_INTERFACE:include>)
target_link_libraries(samara_static INTERFACE
	$<BUILD_INTERFACE:PkgConfig::URCU> $<BUILD_INTERFACE:PkgConfig::COMPRESSORS>
	$<BUILD_INTERFACE:Threads::Threads>
	$<INSTALL_INTERFACE:samara::needs>)
# The same for a module that the archive is linked into.
target_link_options(samara_static INTERFACE ${samara_stays})
add_library(samara::samara_static ALIAS samara_static)
