/* The kernels of one instruction set; dispatch.c has the table of instruction sets. */
#include "kernels/isa.h"
#include "kernels/simd/simd.h"

#define CM_STRING_(text) #text
#define CM_STRING(text) CM_STRING_(text)

extern const cm_kernels cm_kernel_table;
extern const cm_probes cm_probe_table;

const cm_kernels cm_kernel_table = {.isa = CM_ISA,
                                    .name = CM_STRING(CM_ISA_NAME),
                                    .lanes = VF_LANES,
                                    .probes = &cm_probe_table,
#define CM_KERNEL_ROW(op) .op = CM_FN(op),
                                    CM_KERNEL_LIST(CM_KERNEL_ROW)
#undef CM_KERNEL_ROW
};
