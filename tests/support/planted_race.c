/* A race that is meant: each thread writes its value and reads its neighbour's, with nothing
 * between them. The thread sanitizer must report it, or its set-up is wrong and its silence about
 * the other tests means nothing. `planted_race --barrier` has the barrier between them: no word of
 * it then. */
#include <stdio.h>
#include <string.h>

#include "convmark/team.h"

enum { THREADS = 2 };

typedef struct exchange {
    int with_barrier;
    int written[THREADS], read[THREADS];
} exchange;

static void exchange_values(const cm_team *team, void *context) {
    exchange *e = context;
    e->written[team->index] = team->index + 1;
    if (e->with_barrier) {
        cm_team_barrier(team);
    }
    e->read[team->index] = e->written[(team->index + 1) % team->count];
}

int main(int argc, char **argv) {
    exchange e = {.with_barrier = argc > 1 && strcmp(argv[1], "--barrier") == 0};
    cm_team_run(THREADS, exchange_values, &e);
    printf("read %d %d\n", e.read[0], e.read[1]);
    return e.with_barrier && !(e.read[0] == 2 && e.read[1] == 1);
}
