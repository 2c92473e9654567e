/*
 * Any bytes as the shape, the alignment and the numbers of one case of one kernel: every
 * instruction set that this machine has, on one thread and on more, must give the bits of scalar on
 * one thread, and write nowhere else. All NaNs count as one (src/harness/verify/kernel_checks.h).
 */
#include <zlib.h>

#include "fuzz.h"
#include "harness/verify/kernel_checks.h"

/* Small shapes show most of what there is, at a hundredth of the time; code that only large ones
 * reach is reached by every so many inputs. Which ones, a check sum decides: if the input itself
 * said so, the fuzzer would keep to the large ones that it has found. */
enum { SMALL_WORK = 20 * 1000, LARGE_EVERY = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    const bool large = crc32(0, data, (uInt)size) % LARGE_EVERY == 0;
    const int kernel = data[0] % cm_check_kernel_count(), threads = 1 + data[1] % 3;
    cm_error error = {""};
    if (cm_check_kernel_bytes(threads, kernel, data + 2, size - 2, large ? 0 : SMALL_WORK, NULL,
                              &error) != CM_OK) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
    return 0;
}
