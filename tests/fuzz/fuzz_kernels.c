/*
 * Any bytes as the shape, the alignment and the numbers of one case of one kernel: every
 * instruction set that this machine has, on one thread and on more, must give the bits of scalar on
 * one thread, and write nowhere else. All NaNs count as one (src/verify/kernel_checks.h).
 */
#include "fuzz.h"
#include "verify/kernel_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    const int kernel = data[0] % cm_check_kernel_count();
    const int threads = 1 + data[1] % 4;
    for (int isa = CM_ISA_SCALAR; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of((cm_isa)isa);
        cm_error error = {""};
        if (kernels != NULL && cm_check_kernel_bytes(kernels, threads, kernel, data + 2, size - 2,
                                                     NULL, &error) != CM_OK) {
            fprintf(stderr, "%s\n", error.message);
            abort();
        }
    }
    return 0;
}
