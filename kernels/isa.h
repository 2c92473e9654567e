/**
 * Included by every kernel source. The sources are compiled once for each instruction set, with
 * CM_ISA_NAME defined by the build (scalar, neon, avx2 or avx512): CM_FN(op) is then the function's
 * name in that set (cm_op_avx2), and simd.h its vectors.
 */
#ifndef CM_KERNELS_ISA_H
#define CM_KERNELS_ISA_H

#include "kernels/kernels.h"

#define CM_PASTE_(op, isa) cm_##op##_##isa
#define CM_PASTE(op, isa) CM_PASTE_(op, isa)
#define CM_FN(op) CM_PASTE(op, CM_ISA_NAME)

#define CM_KERNEL_PROTOTYPE(op) cm_##op##_fn CM_FN(op);
CM_KERNEL_LIST(CM_KERNEL_PROTOTYPE)
#undef CM_KERNEL_PROTOTYPE

#endif
