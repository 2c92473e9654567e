/**
 * Rounds of measurements: each takes one sample of everything, in random order, so that what drifts
 * on the machine drifts through all of it.
 */
#ifndef CM_SWEEP_ROUNDS_H
#define CM_SWEEP_ROUNDS_H

#include <stdint.h>

#include "convmark/network.h"
#include "convmark/status.h"
#include "convmark/trainer.h"
#include "harness/record/measurement.h"
#include "harness/studies/sweep/work.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CM_MAX_ROUNDS = 10000 }; /* samples a measurement */

typedef struct cm_rounds {
    cm_measurements *measurements; /* those of a cell are beside one another */
    int cells;                     /* what is measured by itself */
    int rounds;
    uint64_t seed;  /* of the orders */
    double seconds; /* of a sample */
    /** Takes one sample of every measurement of a cell. */
    cm_status (*measure)(void *context, int cell, cm_error *error);
    /** Keeps what is there after a round. */
    cm_status (*keep)(void *context, cm_error *error);
    void *context;
} cm_rounds;

/** Plans what is left of the rounds: those that the measurements have are done. */
void cm_rounds_plan(const cm_rounds *rounds, cm_work *work);

/** Does the rest. CM_INTERRUPTED where it was stopped: rounds are whole, the samples of the one
 * that was broken off are dropped. */
cm_status cm_rounds_measure(const cm_rounds *rounds, cm_work *work, cm_error *error);

/** CM_USAGE where a number of the option's list is not within 1 .. limit (`why` says more on it),
 * or is there twice. */
cm_status cm_check_list(const char *option, const int *values, int count, int limit,
                        const char *why, cm_error *error);

/** How much work a training run is, in the unit of the rounds' seconds: guessed from a rate of 30
 * GMAC/s a thread. */
double cm_training_work(const cm_network *network, const cm_train_options *options, int threads);

#ifdef __cplusplus
}
#endif

#endif
