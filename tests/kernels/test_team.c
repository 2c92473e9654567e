/* Teams: shares, barriers, loops dealt out while they run, and the floating-point control state of
 * their threads. */
#include <float.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "convmark/team.h"

enum { MAX_THREADS = 16, ROUNDS = 500 };

static void shares_cover_every_item_once(void **state) {
    (void)state;
    static const ptrdiff_t items[] = {0, 1, 2, 3, 7, 8, 9, 64, 1000, PTRDIFF_MAX / MAX_THREADS};
    for (int count = 1; count <= MAX_THREADS; ++count) {
        for (size_t i = 0; i < sizeof items / sizeof items[0]; ++i) {
            ptrdiff_t next = 0, least = items[i], most = 0;
            for (int index = 0; index < count; ++index) {
                const cm_range range =
                    cm_team_share(&(cm_team){index, count, NULL, NULL}, items[i]);
                const ptrdiff_t size = range.end - range.begin;
                assert_true(range.begin == next && size >= 0);
                next = range.end;
                least = size < least ? size : least;
                most = size > most ? size : most;
            }
            assert_true(next == items[i]);
            assert_true(most - least <= 1);
        }
    }
}

typedef struct visit {
    int calls[MAX_THREADS];
    int counts[MAX_THREADS];
} visit;

static void count_visit(const cm_team *team, void *context) {
    visit *v = context;
    ++v->calls[team->index];
    v->counts[team->index] = team->count;
}

static void every_thread_runs_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; ++threads) {
        visit v;
        memset(&v, 0, sizeof v);
        cm_team_run(threads, count_visit, &v);
        const int count = v.counts[0];
        assert_true(count >= 1 && count <= threads);
        for (int i = 0; i < MAX_THREADS; ++i) {
            assert_int_equal(v.calls[i], i < count ? 1 : 0);
            assert_int_equal(v.counts[i], i < count ? count : 0);
        }
    }
}

typedef struct relay {
    int64_t values[2][MAX_THREADS];
} relay;

/* Each round, a thread writes what it makes of the values that all wrote in the round before: a
 * barrier that lets one through early, or does not show it the others' writes, changes the end. */
static void relay_values(const cm_team *team, void *context) {
    relay *r = context;
    r->values[0][team->index] = team->index + 1;
    cm_team_barrier(team);
    for (int round = 0; round < ROUNDS; ++round) {
        const int64_t *from = r->values[round % 2];
        int64_t sum = 0;
        for (int i = 0; i < team->count; ++i) {
            sum += from[i];
        }
        r->values[(round + 1) % 2][team->index] = sum % 1000003 + team->index;
        cm_team_barrier(team);
    }
}

static void barriers_hold(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 3, 7, 16};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
        relay r;
        memset(&r, 0, sizeof r);
        visit v;
        memset(&v, 0, sizeof v);
        cm_team_run(sizes[s], count_visit, &v);
        const int count = v.counts[0];
        cm_team_run(sizes[s], relay_values, &r);
        int64_t values[MAX_THREADS];
        for (int i = 0; i < count; ++i) {
            values[i] = i + 1;
        }
        for (int round = 0; round < ROUNDS; ++round) {
            int64_t sum = 0;
            for (int i = 0; i < count; ++i) {
                sum += values[i];
            }
            for (int i = 0; i < count; ++i) {
                values[i] = sum % 1000003 + i;
            }
        }
        assert_memory_equal(r.values[ROUNDS % 2], values, (size_t)count * sizeof values[0]);
    }
}

enum { LOOPS = 400, MOST_ITEMS = 100 };

static ptrdiff_t items_of(int loop) {
    static const ptrdiff_t items[] = {7, 0, MOST_ITEMS, 1, 3, 64, 0, 2, 33};
    return items[loop % (int)(sizeof items / sizeof items[0])];
}

typedef struct dealt {
    atomic_int times[LOOPS][MOST_ITEMS];
} dealt;

/* Loop after loop without a barrier: threads are in different ones, and some shares are empty. */
static void take_items(const cm_team *team, void *context) {
    dealt *d = context;
    for (int loop = 0; loop < LOOPS; ++loop) {
        cm_deal deal = cm_team_deal(team, items_of(loop));
        for (cm_range items; cm_deal_range(&deal, &items);) {
            for (ptrdiff_t i = items.begin; i < items.end; ++i) {
                atomic_fetch_add(&d->times[loop][i], 1);
            }
        }
    }
}

static void every_item_is_dealt_once(void **state) {
    (void)state;
    static const int sizes[] = {1, 2, 3, 7, 16};
    dealt *d = malloc(sizeof *d);
    assert_non_null(d);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
        memset(d, 0, sizeof *d);
        cm_team_run(sizes[s], take_items, d);
        for (int loop = 0; loop < LOOPS; ++loop) {
            for (int i = 0; i < MOST_ITEMS; ++i) {
                assert_int_equal(d->times[loop][i], i < items_of(loop) ? 1 : 0);
            }
        }
    }
    free(d);
}

typedef struct slow_thread {
    atomic_int count, others;
    int own; /* items of thread 0 */
} slow_thread;

/* Thread 0 waits with its first items until the others have done all the rest. */
static void wait_for_the_others(const cm_team *team, void *context) {
    slow_thread *s = context;
    cm_deal deal = cm_team_deal(team, MOST_ITEMS);
    cm_range items;
    if (team->index > 0) {
        while (cm_deal_range(&deal, &items)) {
            atomic_fetch_add(&s->others, (int)(items.end - items.begin));
        }
        return;
    }
    s->count = team->count;
    if (cm_deal_range(&deal, &items)) {
        s->own = (int)(items.end - items.begin);
        const time_t end = time(NULL) + 60;
        while (team->count > 1 && s->others < MOST_ITEMS - s->own && time(NULL) < end) {
            sched_yield();
        }
    }
}

static void a_slow_threads_items_go_to_the_others(void **state) {
    (void)state;
    slow_thread s = {.own = 0};
    cm_team_run(3, wait_for_the_others, &s);
    if (s.count == 1) {
        skip();
    }
    assert_in_range(s.own, 0, MOST_ITEMS / s.count);
    assert_int_equal(s.others, MOST_ITEMS - s.own);
}

typedef struct float_state {
    volatile float smallest, third;
    int subnormal_lost[MAX_THREADS];
    int other_rounding[MAX_THREADS];
} float_state;

static void look_at_float_state(const cm_team *team, void *context) {
    float_state *f = context;
    const float half = f->smallest * 0.5F; /* subnormal, if results are not flushed to zero */
    f->subnormal_lost[team->index] = !(half > 0.0F && half + half == f->smallest);
    const float up = 1.0F / f->third, down = -1.0F / f->third;
    f->other_rounding[team->index] = !(up == -down && up == 0x1.555556p-2F);
}

/* OpenMP's threads have control registers of their own. */
static void threads_keep_subnormals_and_round_to_nearest(void **state) {
    (void)state;
    float_state f;
    memset(&f, 0, sizeof f);
    f.smallest = FLT_MIN;
    f.third = 3.0F;
    cm_team_run(7, look_at_float_state, &f);
    for (int i = 0; i < MAX_THREADS; ++i) {
        assert_int_equal(f.subnormal_lost[i], 0);
        assert_int_equal(f.other_rounding[i], 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_cover_every_item_once),
        cmocka_unit_test(every_thread_runs_once),
        cmocka_unit_test(barriers_hold),
        cmocka_unit_test(every_item_is_dealt_once),
        cmocka_unit_test(a_slow_threads_items_go_to_the_others),
        cmocka_unit_test(threads_keep_subnormals_and_round_to_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
