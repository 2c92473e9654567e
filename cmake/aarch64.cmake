# Toolchain: 64-bit ARM on Debian, with its cross compiler and arm64 libraries beside the machine's
# own (dpkg --add-architecture arm64). Tests run under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
find_program(CM_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(CM_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${CM_QEMU})
endif()
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
