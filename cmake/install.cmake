# `cmake --install BUILD --prefix DIR`: program, both libraries, public headers in the folders that
# they include one another by, CMake package, pkg-config file, man page, licence.
include(CMakePackageConfigHelpers)

# What convmark.h includes, by folder.
set(CM_PUBLIC_HEADERS
    src/convmark.h
    src/status.h
    src/data/dataset.h
    src/network/model.h
    src/network/model_file.h
    src/network/network.h
    src/train/schedule.h
    src/train/stream.h
    src/train/trainer.h
    kernels/kernels.h
    kernels/philox.h
    kernels/probe.h
    kernels/trace.h
    kernels/team.h)
set(CM_INCLUDE_DIR ${CMAKE_INSTALL_INCLUDEDIR}/convmark)
set(CM_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/convmark)

foreach(header IN LISTS CM_PUBLIC_HEADERS)
    string(REGEX REPLACE "^src/" "" place ${header})
    get_filename_component(folder ${place} DIRECTORY)
    install(FILES ${header} DESTINATION ${CM_INCLUDE_DIR}/${folder})
endforeach()

install(TARGETS convmark RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Two sets of targets: who links the shared library needs none of the libraries below it.
foreach(kind static shared)
    install(TARGETS convmark_${kind} EXPORT convmark-${kind}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CM_INCLUDE_DIR})
    install(EXPORT convmark-${kind} NAMESPACE convmark:: DESTINATION ${CM_CMAKE_DIR})
endforeach()

configure_package_config_file(cmake/convmarkConfig.cmake.in convmarkConfig.cmake
    INSTALL_DESTINATION ${CM_CMAKE_DIR})
write_basic_package_version_file(convmarkConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/convmarkConfig.cmake
    ${PROJECT_BINARY_DIR}/convmarkConfigVersion.cmake DESTINATION ${CM_CMAKE_DIR})

# pkg-config finds the prefix by the file's own place, so that an installed tree may be moved.
file(RELATIVE_PATH CM_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" CM_PC_PREFIX "${CM_PC_PREFIX}")
configure_file(cmake/convmark.pc.in convmark.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/convmark.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET convmark-bench)
    install(TARGETS convmark-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(DIRECTORY bench/shapes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/convmark/shapes
        FILES_MATCHING PATTERN "*.txt")
endif()
install(FILES docs/convmark.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
