# `cmake --install BUILD --prefix DIR`: program, both libraries, public headers, CMake package,
# pkg-config file, man page, licence; pages, JSON schema, the scripts that fetch the data set and
# draw pictures, completion of bash. Messages name pages and scripts as in the source tree: docs/
# is below share/doc/convmark, scripts/ below share/convmark (FILES in convmark(1)).
include(CMakePackageConfigHelpers)

# The public headers: what the shared library exports, they declare.
set(CM_PUBLIC_HEADERS
    include/convmark/batch_norm.h
    include/convmark/conv2d.h
    include/convmark/convmark.h
    include/convmark/dataset.h
    include/convmark/elementwise.h
    include/convmark/first_layer.h
    include/convmark/kernels.h
    include/convmark/max_pool2d.h
    include/convmark/model.h
    include/convmark/model_file.h
    include/convmark/network.h
    include/convmark/philox.h
    include/convmark/probe.h
    include/convmark/schedule.h
    include/convmark/status.h
    include/convmark/stream.h
    include/convmark/team.h
    include/convmark/trace.h
    include/convmark/trainer.h)
set(CM_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/convmark)

install(FILES ${CM_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/convmark)
install(TARGETS convmark RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# Two sets of targets: who links the shared library needs none of the libraries below it.
foreach(kind static shared)
    install(TARGETS convmark_${kind} EXPORT convmark-${kind}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
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
install(FILES docs/reference/convmark.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/guide docs/reference docs/design DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs
    FILES_MATCHING PATTERN "*.md" PATTERN "*.json")
install(PROGRAMS scripts/get-data.sh DESTINATION ${CMAKE_INSTALL_DATADIR}/convmark/scripts)
install(FILES scripts/lib.sh DESTINATION ${CMAKE_INSTALL_DATADIR}/convmark/scripts)
install(DIRECTORY scripts/plots DESTINATION ${CMAKE_INSTALL_DATADIR}/convmark/scripts
    USE_SOURCE_PERMISSIONS FILES_MATCHING PATTERN "*.py" PATTERN "*.html"
    PATTERN "__pycache__" EXCLUDE)
install(FILES scripts/completions/convmark.bash RENAME convmark
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
