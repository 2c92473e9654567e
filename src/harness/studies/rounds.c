#include "harness/studies/rounds.h"

#include "convmark/philox.h"

int cm_rounds_done(const cm_rounds *rounds) {
    return rounds->measurements->items[0].n;
}

void cm_rounds_order(const cm_rounds *rounds, int round, int *cells) {
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

void cm_rounds_drop(const cm_rounds *rounds, int round) {
    for (int i = 0; i < rounds->measurements->count; ++i) {
        cm_measurement *m = &rounds->measurements->items[i];
        m->n = m->n > round ? round : m->n;
    }
}

/* A sample takes its seconds, and about as much again for the model and its warm-up. */
double cm_rounds_cell_seconds(const cm_rounds *rounds) {
    return 2.0 * rounds->measurements->count / rounds->cells * rounds->seconds;
}
