/* The frontier of points, and the grid of networks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/studies/explore/grid.h"
#include "harness/studies/explore/points.h"
#include "support/models.h"

static void test_frontier(void **state) {
    (void)state;
    static const struct {
        double speed, accuracy;
        bool frontier;
    } rows[] = {{100, 0.5, true},  {90, 0.5, false}, {100, 0.4, false},
                {50, 0.8, true},   {50, 0.8, true}, /* twins: neither is better */
                {49, 0.79, false}, {20, 0.9, true},  {10, (double)NAN, false},
                {200, 0.1, true},  {300, 0.0, true}, {(double)NAN, 1.0, false}};
    cm_explore_point points[CM_COUNT(rows)] = {{0}};
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        points[i].images_per_second = rows[i].speed;
        points[i].accuracy = rows[i].accuracy;
    }
    cm_explore_mark_frontier(points, CM_COUNT(rows));
    for (size_t i = 0; i < CM_COUNT(rows); ++i) {
        if (points[i].frontier != rows[i].frontier) {
            fail_msg("point %zu", i);
        }
    }
    cm_explore_mark_frontier(points, 0);
}

static uint8_t pixels[28 * 28], labels[1];

static cm_dataset small_dataset(void) {
    cm_dataset dataset = {.name = "test", .real = true, .classes = 10};
    dataset.train = dataset.validation = (cm_images){1, 28, 28, pixels, labels, 1};
    return dataset;
}

static void test_the_grid_has_the_variants_of_the_report(void **state) {
    (void)state;
    static const struct {
        const char *id, *name;
    } rows[] = {{"bn-3", "d3-p1-bn-w128-do0.1"}, {"plain-8", "d8-p3-w128-do0.1"},
                {"bn-8", "d8-p3-bn-w128-do0.1"}, {"bn-16", "d16-p6-bn-w128-do0.1"},
                {"baseline", "d3-p1-w128"},      {"dropout-out-0.5", "d3-p1-w128-do0.5"}};
    const cm_dataset dataset = small_dataset();
    cm_explore explore = {.study = {.dataset = &dataset}, .options = cm_explore_options_default()};
    cm_explore_options *o = &explore.options;
    *o = cm_explore_options_default();
    o->depths[o->depth_count++] = 16;
    o->pools[o->pool_count++] = 6;
    o->dropouts[o->dropout_count++] = 0.0;
    o->dropouts[o->dropout_count++] = 0.5;
    cm_error error = {""};
    assert_int_equal(cm_explore_plan_grid(&explore, &error), CM_OK);
    assert_int_equal(explore.network_count + explore.skipped_count, 3 * 3 * 2 * 3 * 3);
    /* Pools at most three: 8 and 16 with period 1, and 16 with period 3, leave no pixel. */
    assert_int_equal(explore.skipped_count, 3 * 2 * 3 * 3);
    assert_int_equal(explore.point_count, explore.network_count * 2);
    size_t found = 0;
    for (int i = 0; i < explore.network_count; ++i) {
        for (size_t k = 0; k < CM_COUNT(rows); ++k) {
            if (strcmp(rows[k].name, explore.networks[i].name) == 0) {
                cm_network *network = NULL;
                char *ours = NULL, *theirs = NULL;
                assert_int_equal(cm_network_open(rows[k].id, &network, &error), CM_OK);
                assert_int_equal(cm_network_to_text(network, &theirs, &error), CM_OK);
                assert_int_equal(cm_network_to_text(explore.networks[i].network, &ours, &error),
                                 CM_OK);
                assert_string_equal(ours, theirs);
                free(ours);
                free(theirs);
                cm_network_free(network);
                ++found;
            }
        }
    }
    assert_int_equal(found, CM_COUNT(rows));
    cm_explore_free(&explore);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frontier),
        cmocka_unit_test(test_the_grid_has_the_variants_of_the_report),
    };
    return cmocka_run_group_tests_name("explore", tests, NULL, NULL);
}
