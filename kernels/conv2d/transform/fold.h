/**
 * Backward-weights of domains whose frequencies are real and the same along both axes: a frequency
 * contributes its product, times a factor for each of three taps, first along its row, then down
 * the rows. Include after isa.h.
 */
#ifndef CM_KERNELS_TRANSFORM_FOLD_H
#define CM_KERNELS_TRANSFORM_FOLD_H

#include "kernels/conv2d/transform/domain.h"

/** The factors of a point. */
typedef const float cm_tap_factors[3];

/** cm_domain.fold, with the factors of all points. */
void cm_fold_real(cm_tap_factors *factors, const cm_frequency *frequency, const float *product,
                  ptrdiff_t count, float *sums);
/** cm_domain.taps, of `points` rows. */
void cm_taps_real(int points, cm_tap_factors *factors, const float *sums, ptrdiff_t row,
                  ptrdiff_t count, float *dw);

/** The frequency at point (row, column) of points x points, for a domain's table. */
#define CM_REAL_FREQUENCY(points, row, column) \
    { (row), (column), (row) * (points) + (column), (row) * (points) + (column), false }

#endif
