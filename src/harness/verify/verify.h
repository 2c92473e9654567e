/**
 * Golden hashes: for each variant the result of a short training run, recorded once, which every
 * instruction set, thread count, compiler and machine must give.
 */
#ifndef CM_VERIFY_VERIFY_H
#define CM_VERIFY_VERIFY_H

#include "convmark/kernels.h"
#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One row per variant. */
typedef struct cm_golden {
    const char *variant;
    const char *sha256;
} cm_golden;

/** The table of golden hashes; *count rows, in the order of cm_variants(). */
const cm_golden *cm_goldens(int *count);

/**
 * The short run: two training steps on random pictures (a batch of 7, then one of 2, so that tiles,
 * rests and dropout all take part) and the logits of one picture in evaluation mode. Writes the
 * SHA-256 of the two losses, the model (cm_model_sha256) and the logits.
 */
cm_status cm_golden_run(const char *variant, cm_isa isa, int threads, char hex[65],
                        cm_error *error);

/** Runs it and compares: CM_FAILED, with both hashes in the message, when they differ. */
cm_status cm_verify_golden(const cm_golden *golden, cm_isa isa, int threads, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
