/**
 * Constants of the convolutions that decide bits: which algorithm a shape gets, and in which order
 * its sums are computed. A change of one changes results: it needs new golden hashes
 * (CONTRIBUTING.md) and a line in docs/design/numerics.md. Constants that only decide speed are in
 * tuning.h.
 */
#ifndef CM_KERNELS_CONV2D_CONTRACT_H
#define CM_KERNELS_CONV2D_CONTRACT_H

/** AUTO takes a transform domain from this many channels on, on both sides: with fewer, transforms
 * cost more than they save. (The border is the width of an AVX-512 vector.) */
enum { CM_MIN_TRANSFORM_CHANNELS = 16 };

/** AUTO takes a transform domain from this many images on: transforming the filters must pay. One
 * image: direct is 1.45 times as fast (bn-3, inference, 1 thread); two: it is slower. */
enum { CM_MIN_TRANSFORM_BATCH = 2 };

/** Transforms of maps that are cut into patches take max(CM_MIN_BLOCK_PATCHES, CM_BLOCK_FLOATS /
 * channels) patches at a time. dweight is summed block by block, so that the size of a block is an
 * order of summation. 32,768 floats are 128 KiB per plane, so that the 25 or 36 planes of a block
 * stay in the last-level cache; 64 patches are several tiles. */
enum { CM_BLOCK_FLOATS = 32768, CM_MIN_BLOCK_PATCHES = 64 };

/** Direct, fewer input channels than this: forward, images are copied into a frame of zeros, so
 * that a term of the micro-kernel is a whole row of the filter; backward-weights, the patch that an
 * output is computed from is copied, so that a tile's rows are channels x taps. Otherwise a tile
 * would be filled badly: 8 was the tallest tile when the rule was made. It decides whether taps
 * outside the map are left out or multiplied by zeros, and in which order dweight is summed. */
enum { CM_FEW_CHANNELS = 8 };

/** Direct, backward-weights: where rows of outputs have at least this many positions, chains run
 * along them, image by image; else over groups of CM_CHAIN_IMAGES images, position by position.
 * Shorter rows are too short a loop. */
enum { CM_MIN_ROW_RUN = 4, CM_CHAIN_IMAGES = 32 };

/** Direct, backward-weights: a chain has about this many positions, in whole rows of outputs, and
 * not more rows than CM_MAX_CHAIN_ROWS; over images, CM_CHAIN_POSITIONS of each. The chains of an
 * image, or of a group, are added up. So a sum of 224x224 positions is as accurate as one of 16x16.
 * 256 are also long enough to hide the beginning and end of a tile, and short enough that panels
 * stay in the L1 cache. */
enum { CM_CHAIN_TERMS = 256, CM_MAX_CHAIN_ROWS = 64, CM_CHAIN_POSITIONS = 16 };

/** Largest kernel_h * kernel_w that a shape may have: the terms of an output are a list on the
 * stack (64 KiB). */
enum { CM_CONV2D_MAX_TAPS = 4096 };

#endif
