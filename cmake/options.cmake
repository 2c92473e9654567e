# Compiler settings that every target shares, as the interface library `cm_options`.
option(CONVMARK_OPENMP "parallel with OpenMP" ON)
option(CONVMARK_TESTS "build the tests" ON)
option(CONVMARK_EXAMPLES "build the programs of examples/" ON)
option(CONVMARK_FUZZ "fuzz targets are programs of libFuzzer, not tests; clang only" OFF)
option(CONVMARK_BENCH "build convmark-bench where Google Benchmark is found" ON)
option(CONVMARK_WERROR "warnings are errors" OFF)
option(CONVMARK_HARDENED "optimised builds check buffers and stacks, and bind symbols at start" ON)
set(CONVMARK_SANITIZE "" CACHE STRING "sanitizers, as in -fsanitize=...")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET default)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# -O3, and assertions out; symbols and frame pointers stay for perf and callgrind.
set(CMAKE_C_FLAGS_RELEASE "-O3 -DNDEBUG -g1 -fno-omit-frame-pointer")

add_library(cm_options INTERFACE)
target_include_directories(cm_options INTERFACE ${PROJECT_SOURCE_DIR}
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(cm_options INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
target_compile_options(cm_options INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion
    # The numeric contract: no multiply-add is fused but where fma is written, no value depends on
    # the optimiser. errno and traps are not part of it, so sqrt may be one instruction.
    -ffp-contract=off -fno-fast-math -fno-math-errno -fno-trapping-math)
if(CONVMARK_WERROR)
    target_compile_options(cm_options INTERFACE -Werror)
endif()
if(CONVMARK_OPENMP)
    find_package(OpenMP REQUIRED COMPONENTS C)
    set(CM_OPENMP OpenMP::OpenMP_C)
    target_link_libraries(cm_options INTERFACE ${CM_OPENMP})
else()
    set(CM_OPENMP "")
    target_compile_options(cm_options INTERFACE -Wno-unknown-pragmas)
endif()
if(CONVMARK_SANITIZE)
    target_compile_options(cm_options INTERFACE -fsanitize=${CONVMARK_SANITIZE}
        -fno-sanitize-recover=all)
    target_link_options(cm_options INTERFACE -fsanitize=${CONVMARK_SANITIZE})
endif()
# Errors in memory end the program instead of doing what a file says. Sanitizers see more, and
# cannot bear it. -U: some systems' compilers define it already.
# scripts/ci/check_hardening.py checks.
if(CONVMARK_HARDENED AND NOT CONVMARK_SANITIZE AND NOT CONVMARK_FUZZ)
    target_compile_options(cm_options INTERFACE
        $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>
        -fstack-protector-strong)
    target_link_options(cm_options INTERFACE LINKER:-z,relro LINKER:-z,now)
endif()
# libFuzzer is told of every comparison, so that it can guess the words of a format: in loops over
# numbers that is three quarters of the time, and there is nothing to guess.
if(CONVMARK_FUZZ)
    set(CM_NO_TRACED_COMPARISONS -fno-sanitize-coverage=trace-cmp)
endif()
target_link_libraries(cm_options INTERFACE m)
