/**
 * Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC'11). A number is a function of (seed, purpose, index, step,
 * element): no state, so no thread count or order of evaluation changes it.
 */
#ifndef CM_KERNELS_PHILOX_H
#define CM_KERNELS_PHILOX_H

#include <stdint.h>

/** What numbers are drawn for; the values are part of the numeric contract. */
typedef enum cm_random_purpose {
    CM_RANDOM_INITIAL_VALUES = 1,   /* index: parameter tensor */
    CM_RANDOM_DROPOUT = 2,          /* index: layer, step: training step */
    CM_RANDOM_TRAIN_ORDER = 3,      /* step: number of the permutation */
    CM_RANDOM_VALIDATION_ORDER = 4, /* the same, for the validation stream */
    CM_RANDOM_SYNTHETIC = 5,        /* index: part of the synthetic data set */
    CM_RANDOM_TEST = 6,             /* test data */
    CM_RANDOM_SWEEP_ORDER = 7       /* index: round of a sweep */
} cm_random_purpose;

typedef struct cm_random_key {
    uint64_t seed;
    uint32_t purpose; /* cm_random_purpose */
    uint32_t index;
    uint32_t step;
} cm_random_key;

/** The four 32-bit words of block `block` under `key`. */
static inline void cm_philox4x32(const cm_random_key *key, uint32_t block, uint32_t out[4]) {
    uint32_t c0 = block, c1 = key->step, c2 = key->index, c3 = key->purpose;
    uint32_t k0 = (uint32_t)key->seed, k1 = (uint32_t)(key->seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = UINT64_C(0xD2511F53) * c0;
        const uint64_t p1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/** Word `element` of the sequence under `key`. */
static inline uint32_t cm_random_u32(const cm_random_key *key, uint64_t element) {
    uint32_t words[4];
    cm_philox4x32(key, (uint32_t)(element >> 2), words);
    return words[element & 3];
}

/** The top 24 bits of a word as a float in [0, 1): exact, a multiple of 2^-24. */
static inline float cm_uniform_from_u32(uint32_t word) {
    return (float)(word >> 8) * (1.0F / (1 << 24)); /* C++ before 17 has no 0x1p-24f */
}

/** Element `element` of the uniform sequence under `key`. */
static inline float cm_random_uniform(const cm_random_key *key, uint64_t element) {
    return cm_uniform_from_u32(cm_random_u32(key, element));
}

#endif
