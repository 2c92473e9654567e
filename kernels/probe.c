#include "convmark/probe.h"

#include "kernels/isa.h"
#include "kernels/simd/simd.h"

/* Chains enough for the latency of an fma times its throughput on current CPUs (8 to 10 on x86, 16
 * on ARM), in the registers that there are. */
#define CHAINS (VF_TILE_ROWS > 6 ? 20 : 12)

/* Named variables for the reason that gemm_tile.c gives. */
#define EACH_CHAIN(DO) \
    DO(0)              \
    DO(1)              \
    DO(2)              \
    DO(3)              \
    DO(4)              \
    DO(5)              \
    DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18) DO(19)

static float sum_of(vf a) {
    float lanes[VF_LANES], sum = 0.0F;
    vf_store(lanes, a);
    for (int i = 0; i < VF_LANES; ++i) {
        sum += lanes[i];
    }
    return sum;
}

/* Each chain tends to a number near 1: no denormals, no infinities. */
static float fma_rounds(size_t rounds) {
    volatile float factor_in = 0.5F, addend_in = 0.5F;
    const vf factor = vf_set1(factor_in), addend = vf_set1(addend_in);
#define START(i) vf chain##i = vf_set1(1.0F + 0.001F * (float)(i));
    EACH_CHAIN(START)
#undef START
    for (size_t round = 0; round < rounds; ++round) {
#define STEP(i)                                      \
    if (i < CHAINS) {                                \
        chain##i = vf_fma(chain##i, factor, addend); \
    }
        EACH_CHAIN(STEP)
#undef STEP
    }
    vf sum = vf_zero();
#define JOIN(i) sum = vf_add(sum, chain##i);
    EACH_CHAIN(JOIN)
#undef JOIN
    return sum_of(sum);
}

static float read_floats(const float *from, size_t count) {
    enum { SUMS = 8 };
    vf sum[SUMS];
    for (int i = 0; i < SUMS; ++i) {
        sum[i] = vf_zero();
    }
    for (const float *end = from + count; from < end; from += SUMS * VF_LANES) {
        for (int i = 0; i < SUMS; ++i) {
            sum[i] = vf_add(sum[i], vf_load(from + i * VF_LANES));
        }
    }
    for (int i = 1; i < SUMS; ++i) {
        sum[0] = vf_add(sum[0], sum[i]);
    }
    return sum_of(sum[0]);
}

_Static_assert(CM_PROBE_BLOCK % (8 * VF_LANES) == 0, "blocks are whole steps");

extern const cm_probes cm_probe_table;

const cm_probes cm_probe_table = {
    .fma = fma_rounds,
    .flops_per_round = CHAINS * 2 * VF_LANES,
    .read = read_floats,
};
