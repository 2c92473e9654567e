# Writes OUTPUT, the version script of the shared library: the functions that the public headers
# declare, each by its name, and nothing else. A script:
#   cmake -D HEADERS=FOLDER -D OUTPUT=FILE -P exports.cmake
# tests/scripts/test_symbols.py compares the library with what ctags finds in the headers.
file(GLOB headers ${HEADERS}/*.h)
set(names "")
foreach(header IN LISTS headers)
    file(READ ${header} text)
    # CMake's lists split at semicolons and mind brackets; neither matters for names.
    string(REGEX REPLACE "[][;\\]" " " text "${text}")
    string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" " " text "${text}")
    # A declaration begins its line with its type; calls in inline functions are indented.
    string(REGEX MATCHALL "\n[a-z][A-Za-z0-9_ *]*[ *]cm_[a-z0-9_]+\\(" found "\n${text}")
    foreach(declaration IN LISTS found)
        if(NOT declaration MATCHES "^\n(static|typedef) ")
            string(REGEX MATCH "(cm_[a-z0-9_]+)\\(" call "${declaration}")
            list(APPEND names ${CMAKE_MATCH_1})
        endif()
    endforeach()
endforeach()
list(REMOVE_DUPLICATES names)
list(SORT names)
list(JOIN names ";\n        " text)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY
    CONTENT "{\n    global:\n        ${text};\n    local:\n        *;\n};\n")
