# SPDX-License-Identifier: MIT
#
# How everything is compiled. One interface library, samara_flags, carries it;
# nothing is set globally but the language level and the optimisation of the
# two build types that the presets use:
#
#   Debug           -O1 -g   SAMARA_DEBUG=1: assertions of the debug kind and
#                            lock ranks; -O1, as the model tests run millions
#                            of operations. Locals of the library that nothing
#                            has set hold a pattern, the same in each run.
#   RelWithDebInfo  -O2 -g   what is shipped
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(PROJECT_IS_TOP_LEVEL)
	if(NOT CMAKE_BUILD_TYPE)
		set(CMAKE_BUILD_TYPE RelWithDebInfo)
	endif()
	set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
	set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")
	set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
	set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g")
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(URCU REQUIRED IMPORTED_TARGET liburcu-bp)
pkg_check_modules(COMPRESSORS REQUIRED IMPORTED_TARGET liblz4 libzstd)

add_library(samara_flags INTERFACE)
# A cmocka test has a parameter that it seldom needs.
target_compile_options(samara_flags INTERFACE -Wall -Wextra
	$<$<BOOL:$<TARGET_PROPERTY:SAMARA_TEST>>:-Wno-unused-parameter>
	$<$<BOOL:${SAMARA_WERROR}>:-Werror>)
# Empty, as `#define _GNU_SOURCE` in a file has it; g++ has it by itself.
target_compile_definitions(samara_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=>
	$<$<CONFIG:Debug>:SAMARA_DEBUG=1>)

if(SAMARA_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
		message(FATAL_ERROR "SAMARA_FUZZ needs clang: -DCMAKE_C_COMPILER=clang")
	endif()
	target_compile_options(samara_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(SAMARA_SANITIZE)
	target_compile_options(samara_flags INTERFACE -fsanitize=${SAMARA_SANITIZE}
		-fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_link_options(samara_flags INTERFACE -fsanitize=${SAMARA_SANITIZE})
endif()

# Each access becomes a call of the deterministic scheduler (tests/schedule/runtime/), and so does
# what libc would do with the program's memory and threads. Locks sleep early: a spinning thread
# only lets others go first there.
if(SAMARA_SCHEDULE)
	target_compile_options(samara_flags INTERFACE -fsanitize=thread -Wno-tsan
		--param=tsan-distinguish-volatile=0)
	target_compile_definitions(samara_flags INTERFACE SAMARA_SCHEDULE=1
		LOCK_SPINS=1 RWSEM_SPINS=1 RWSEM_PATIENCE=2 VMA_LOCK_SPINS=1 FOLIO_SPINS=1
		UFFD_SPINS=1 LOOKS_SPUN=1)
	foreach(call IN ITEMS memcpy memmove memset memcmp malloc calloc aligned_alloc free realloc
			mmap munmap pthread_create pthread_join pthread_setname_np pthread_atfork
			pthread_key_create pthread_key_delete pthread_setspecific
			pthread_getspecific)
		target_compile_definitions(samara_flags INTERFACE ${call}=schedule_${call})
	endforeach()
endif()

# Not optimised, so that each line counts for itself.
if(SAMARA_COVERAGE)
	target_compile_options(samara_flags INTERFACE --coverage -O0)
	target_link_options(samara_flags INTERFACE --coverage)
endif()
