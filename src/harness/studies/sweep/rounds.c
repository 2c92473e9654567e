#include "harness/studies/sweep/rounds.h"

#include <stdio.h>
#include <stdlib.h>

#include "convmark/philox.h"

static void shuffle(const cm_rounds *rounds, int round, int *cells) {
    const cm_random_key key = {
        .seed = rounds->seed, .purpose = CM_RANDOM_SWEEP_ORDER, .index = (uint32_t)round};
    for (int i = 0; i < rounds->cells; ++i) {
        cells[i] = i;
    }
    for (int i = rounds->cells - 1; i > 0; --i) {
        const int k = (int)(cm_random_u32(&key, (uint64_t)i) % (uint32_t)(i + 1));
        const int cell = cells[i];
        cells[i] = cells[k];
        cells[k] = cell;
    }
}

static void forget_round(const cm_rounds *rounds, int round) {
    for (int i = 0; i < rounds->measurements->count; ++i) {
        cm_measurement *m = &rounds->measurements->items[i];
        m->n = m->n > round ? round : m->n;
    }
}

/* A sample lasts its seconds, and as much again around it. */
static double cell_work(const cm_rounds *rounds) {
    return 2.0 * rounds->measurements->count / rounds->cells * rounds->seconds;
}

void cm_rounds_plan(const cm_rounds *rounds, cm_work *work) {
    const int done = rounds->measurements->items[0].n;
    cm_work_plan(work, rounds->cells * rounds->rounds, rounds->cells * done, cell_work(rounds));
}

static cm_status measure_round(const cm_rounds *rounds, int round, const int *cells, cm_work *work,
                               cm_error *error) {
    for (int i = 0; i < rounds->cells; ++i) {
        char doing[64];
        snprintf(doing, sizeof doing, "round %d/%d", round + 1, rounds->rounds);
        const cm_status status = cm_work_stopped(work)
                                     ? CM_INTERRUPTED
                                     : rounds->measure(rounds->context, cells[i], error);
        if (status != CM_OK) {
            forget_round(rounds, round);
            return status;
        }
        cm_work_advance(work, cell_work(rounds), doing);
    }
    return rounds->keep(rounds->context, error);
}

cm_status cm_rounds_measure(const cm_rounds *rounds, cm_work *work, cm_error *error) {
    int *cells = calloc((size_t)rounds->cells, sizeof *cells);
    if (cells == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory; close other programs");
    }
    cm_status status = CM_OK;
    for (int round = rounds->measurements->items[0].n; status == CM_OK && round < rounds->rounds;
         ++round) {
        shuffle(rounds, round, cells);
        status = measure_round(rounds, round, cells, work, error);
    }
    free(cells);
    return status;
}

cm_status cm_check_list(const char *option, const int *values, int count, int limit,
                        const char *why, cm_error *error) {
    for (int i = 0; i < count; ++i) {
        if (values[i] < 1 || values[i] > limit) {
            return cm_fail(error, CM_USAGE, "--%s: %d is not accepted; give 1 to %d%s", option,
                           values[i], limit, why);
        }
        for (int k = 0; k < i; ++k) {
            if (values[k] == values[i]) {
                return cm_fail(error, CM_USAGE, "--%s: %d is there twice; name each one once",
                               option, values[i]);
            }
        }
    }
    return CM_OK;
}

double cm_training_work(const cm_network *network, const cm_train_options *options, int threads) {
    double macs = 0.0;
    for (int i = 0; i < network->layer_count; ++i) {
        macs += (double)cm_layer_macs(&network->layers[i]);
    }
    const double images = (double)options->epochs * (3.0 * options->steps + options->valid_steps) *
                          (double)options->batch;
    return images * macs / 30e9 / threads;
}
