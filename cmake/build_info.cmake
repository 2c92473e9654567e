# Writes OUTPUT, a header with what this build is. A script: cmake -D SOURCE=... -P build_info.cmake
# The commit has "-dirty" at its end when tracked files differ from it, and is "unknown" outside a
# git work tree (a release archive, or git itself missing).
execute_process(COMMAND git -C ${SOURCE} describe --always --abbrev=40 --exclude=* --dirty
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    set(commit unknown)
endif()
set(text "")
foreach(name COMMIT COMPILER FLAGS TYPE)
    string(TOLOWER ${name} lower)
    if(name STREQUAL COMMIT)
        set(value "${commit}")
    else()
        set(value "${${name}}")
    endif()
    string(REPLACE "\\" "\\\\" value "${value}")
    string(REPLACE "\"" "\\\"" value "${value}")
    string(APPEND text "#define CM_BUILD_${name} \"${value}\"\n")
endforeach()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "${text}" @ONLY)
