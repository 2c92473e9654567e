/**
 * The order of sums over many positions and images (docs/design/numerics.md, "Runs" and "Blocks of
 * images"). All of it decides bits. Nothing here depends on the instruction set.
 */
#ifndef CM_KERNELS_SUMS_H
#define CM_KERNELS_SUMS_H

#include <stddef.h>

/** Sums over positions are floats for a run of this many positions; the runs' sums are added in
 * double. A float chain of 32 terms is off by at most 1e-6 of the sum of their sizes, whatever the
 * map, and a run costs two conversions per 32 positions. */
enum { CM_RUN_POSITIONS = 32 };

/** Channels whose sums over the images are joined together: the arrays are on the stack, and of
 * each image some contiguous lines are read. Tuning. */
enum { CM_JOIN_CHANNELS = 64 };

/** Images of a block: `block`, or the whole batch where it is 0. */
static inline ptrdiff_t cm_block_images(int batch, int block) {
    return block > 0 && block < batch ? block : batch;
}

/** The same tree where blocks are computed one after the other and their sums lie on a stack: how
 * often the two uppermost are joined once block `index` of `blocks` is there. As a binary counter
 * carries; after the last block all are joined. */
static inline int cm_block_joins(ptrdiff_t index, ptrdiff_t blocks) {
    const unsigned long long done = (unsigned long long)index + 1;
    return index + 1 < blocks ? __builtin_ctzll(done) : __builtin_popcountll(done - 1);
}

/** Sums that lie on the stack beside the first one, at most. */
static inline int cm_block_levels(ptrdiff_t blocks) {
    int levels = 0;
    while (blocks >> (levels + 1) > 0) {
        ++levels;
    }
    return levels;
}

/**
 * Adds up the sums of the images, `slot` doubles apart, for n <= CM_JOIN_CHANNELS channels: inside
 * a block in the order of the images, then the blocks in a tree, in which node [lo, hi) is split at
 * lo + the largest power of two below hi - lo. The first slot becomes the total; others become
 * partial sums.
 */
static inline void cm_join_images(double *sums, ptrdiff_t slot, int batch, int block, int n) {
    const ptrdiff_t images = cm_block_images(batch, block);
    for (ptrdiff_t first = 0; first < batch; first += images) {
        const ptrdiff_t end = batch - first < images ? batch : first + images;
        double total[CM_JOIN_CHANNELS];
        for (int i = 0; i < n; ++i) {
            total[i] = sums[first * slot + i];
        }
        for (ptrdiff_t image = first + 1; image < end; ++image) {
            for (int i = 0; i < n; ++i) {
                total[i] += sums[image * slot + i];
            }
        }
        for (int i = 0; i < n; ++i) {
            sums[first * slot + i] = total[i];
        }
    }
    for (ptrdiff_t span = images; span < batch; span *= 2) {
        for (ptrdiff_t first = 0; first + span < batch; first += 2 * span) {
            for (int i = 0; i < n; ++i) {
                sums[first * slot + i] += sums[(first + span) * slot + i];
            }
        }
    }
}

#endif
