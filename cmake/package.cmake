# SPDX-License-Identifier: MIT
#
# What `cmake --install` puts into the prefix: headers, both libraries,
# samara.pc for pkg-config and a package for find_package(samara).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/samara"
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/docs/man/" DESTINATION ${CMAKE_INSTALL_MANDIR}/man3
	FILES_MATCHING PATTERN "*.3")
install(TARGETS samara samara_static EXPORT samaraTargets
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(samara_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/samara")
install(EXPORT samaraTargets NAMESPACE samara:: DESTINATION ${samara_package_dir})
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/samaraConfig.cmake.in"
	"${PROJECT_BINARY_DIR}/samaraConfig.cmake" INSTALL_DESTINATION ${samara_package_dir})
write_basic_package_version_file("${PROJECT_BINARY_DIR}/samaraConfigVersion.cmake"
	COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/samaraConfig.cmake"
	"${PROJECT_BINARY_DIR}/samaraConfigVersion.cmake" DESTINATION ${samara_package_dir})

# Written when installing, so that `cmake --install --prefix` is obeyed.
set(samara_pc_libdir "\\\${prefix}/${CMAKE_INSTALL_LIBDIR}")
set(samara_pc_includedir "\\\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
	set(samara_pc_libdir "${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
	set(samara_pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
endif()
install(CODE "
	file(REAL_PATH \"\${CMAKE_INSTALL_PREFIX}\" pc_prefix)
	set(pc_libdir \"${samara_pc_libdir}\")
	set(pc_includedir \"${samara_pc_includedir}\")
	set(pc_description \"${PROJECT_DESCRIPTION}\")
	set(pc_version \"${PROJECT_VERSION}\")
	configure_file(\"${PROJECT_SOURCE_DIR}/cmake/samara.pc.in\"
		\"${PROJECT_BINARY_DIR}/samara.pc\" @ONLY)")
install(FILES "${PROJECT_BINARY_DIR}/samara.pc"
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
