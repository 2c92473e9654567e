/**
 * Rounds of measurements: each takes one sample of every cell, in random order, so that drift of
 * the machine affects all of them equally.
 */
#ifndef CM_HARNESS_STUDIES_ROUNDS_H
#define CM_HARNESS_STUDIES_ROUNDS_H

#include <stdint.h>

#include "harness/record/measurement.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cm_rounds {
    cm_measurements *measurements; /* those of a cell are next to each other */
    int cells;                     /* each is measured on its own */
    int rounds;
    uint64_t seed;  /* of the orders */
    double seconds; /* of a sample */
} cm_rounds;

/** Rounds that the measurements have already. */
int cm_rounds_done(const cm_rounds *rounds);

/** Writes the order of a round's cells to cells[rounds->cells]. */
void cm_rounds_order(const cm_rounds *rounds, int round, int *cells);

/** Drops the samples of an unfinished round: rounds stay whole. */
void cm_rounds_drop(const cm_rounds *rounds, int round);

/** Seconds that one round of one cell takes, estimated. */
double cm_rounds_cell_seconds(const cm_rounds *rounds);

#ifdef __cplusplus
}
#endif

#endif
