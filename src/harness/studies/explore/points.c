#include "harness/studies/explore/points.h"

#include <math.h>
#include <stdlib.h>

#include "core/statistics/samples.h"

static void add_train_cost(cm_train_cost *sum, const cm_train_cost *cost) {
    sum->seconds += cost->seconds;
    sum->images += cost->images;
    sum->joules += cost->joules;
}

static cm_train_cost mean_train_cost(const cm_train_cost *sum, int count) {
    return (cm_train_cost){.seconds = sum->seconds / count,
                           .images = sum->images / count,
                           .joules = sum->joules / count};
}

static cm_explore_point explore_point_of(const cm_explore *explore, int index) {
    const cm_explore_options *o = &explore->options;
    const cm_measurement *m = &explore->measurements.items[index / o->schedule_count];
    cm_explore_point point = {.network = cm_explore_network_of(explore, index),
                              .schedule = cm_explore_schedule_of(explore, index),
                              .runs = cm_explore_run_of(explore, index, 0),
                              .images_per_second = cm_median(m->samples, m->n)};
    bool all = true;
    for (int i = 0; i < o->seeds; ++i) {
        const cm_training_run *run = &point.runs[i].result;
        all = all && run->done && point.runs[i].failure[0] == '\0';
        point.train_loss += run->train_loss / o->seeds;
        point.test_loss += run->test_loss / o->seeds;
        point.accuracy += run->accuracy / o->seeds;
        add_train_cost(&point.cost, &run->cost);
        if (run->reached) {
            ++point.reached;
            add_train_cost(&point.until, &run->until);
        }
    }
    point.cost = mean_train_cost(&point.cost, o->seeds);
    point.until = mean_train_cost(&point.until, point.reached); /* of none: NAN */
    if (!all) {
        point.train_loss = point.test_loss = point.accuracy = (double)NAN;
        point.cost = (cm_train_cost){(double)NAN, (double)NAN, (double)NAN};
    }
    return point;
}

static bool point_dominates(const cm_explore_point *a, const cm_explore_point *b) {
    return a->accuracy >= b->accuracy && a->images_per_second >= b->images_per_second &&
           (a->accuracy > b->accuracy || a->images_per_second > b->images_per_second);
}

void cm_explore_mark_frontier(cm_explore_point *points, int count) {
    for (int i = 0; i < count; ++i) {
        points[i].frontier = !isnan(points[i].accuracy) && !isnan(points[i].images_per_second);
        for (int k = 0; k < count; ++k) {
            points[i].frontier = points[i].frontier && !point_dominates(&points[k], &points[i]);
        }
    }
}

cm_explore_point *cm_explore_points(const cm_explore *explore) {
    cm_explore_point *points = calloc((size_t)explore->point_count + 1, sizeof *points);
    if (points != NULL) {
        for (int i = 0; i < explore->point_count; ++i) {
            points[i] = explore_point_of(explore, i);
        }
        cm_explore_mark_frontier(points, explore->point_count);
    }
    return points;
}
