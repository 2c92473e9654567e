/**
 * Constants of the convolutions that decide speed only: no bit of a result depends on them. They
 * are the same for all instruction sets; those that differ (rows of a tile, channels of a strip)
 * are in the set's header in kernels/simd/. Constants that decide bits are in contract.h.
 */
#ifndef CM_KERNELS_CONV2D_TUNING_H
#define CM_KERNELS_CONV2D_TUNING_H

/** Direct, forward and backward-data: columns of filters, and floats of them, that are packed and
 * multiplied at a time. Each thread packs its own, into its L2 cache: 288 KiB leave room for the
 * inputs of a block of outputs. */
enum { CM_GROUP_COLUMNS = 64, CM_GROUP_FLOATS = 73728 };

/** Bytes of input that a block of outputs may read: half of a small L2 cache (512 KiB), next to a
 * group of filters. */
enum { CM_BLOCK_BYTES = 262144 };

/** Positions that a group of filters must serve once it is in the cache, whatever they read. */
enum { CM_MIN_BLOCK_POSITIONS = 48 };

/** Outputs of a map up to which a tile's rows may run over images. */
enum { CM_SMALL_MAP = 128 };

/** Rows of filters that are prefetched while one is packed. */
enum { CM_PACK_AHEAD = 8 };

/** Backward-data with few input channels: rows of outputs per block, times the stride; and floats
 * of the transposed rows of dy that they read, at most (4 MiB per thread). */
enum { CM_TRANSPOSED_ROWS = 4, CM_MAX_TRANSPOSED_FLOATS = 1 << 20 };

/** Rows of outputs up to this width are packed once per tap of a filter's row (copies of x), so
 * that rows follow one another without a gap. */
enum { CM_SHORT_ROW = 64 };

/** Floats of the panels of dy that are multiplied together: half of a 32 KiB L1 cache, so that
 * adjacent tiles of dweight are written one after the other. */
enum { CM_TOGETHER_FLOATS = 4096 };

/** Panels of x that are packed together, and that tiles of one tap pass before the next tap's. */
enum { CM_PANELS_TOGETHER = 8 };

/** Transforms: steps of the depth whose filters are transformed at a time. */
enum { CM_FILTER_DEPTHS = 8 };

/** Transforms, backward-weights: planes of X that are multiplied before the next tile of dweight,
 * so few that they stay in the L2 cache: five complex frequencies. */
enum { CM_GROUP_PLANES = 15 };

/** Transforms: tiles per frequency from which on the next frequency's planes are prefetched; fewer
 * tiles read a small part of them. */
enum { CM_MIN_PREFETCH_TILES = 16 };

/** Strips of a plane at most (VF_PLANE_STRIP): their list is on the stack. */
enum { CM_MAX_STRIPS = 128 };

#endif
