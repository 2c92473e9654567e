#include "harness/studies/explore/explore.h"

#include <stdlib.h>

cm_explore_options cm_explore_options_default(void) {
    return (cm_explore_options){
        .depths = {3, 8},
        .depth_count = 2,
        .pools = {1, 3},
        .pool_count = 2,
        .batch_norms = {false, true},
        .batch_norm_count = 2,
        .dropouts = {0.1},
        .dropout_count = 1,
        .widths = {32, 64, 128},
        .width_count = 3,
        .schedules = {CM_SCHEDULE_PLATEAU, CM_SCHEDULE_ONE_CYCLE},
        .schedule_count = 2,
        .seeds = 1,
        .threads = 1,
        .isa = CM_ISA_BEST,
        .rounds = 9,
        .seconds = 0.25,
        .train = cm_train_options_default(),
    };
}

const cm_explore_network *cm_explore_network_of(const cm_explore *explore, int point) {
    return &explore->networks[point / explore->options.schedule_count];
}

cm_schedule_kind cm_explore_schedule_of(const cm_explore *explore, int point) {
    return explore->options.schedules[point % explore->options.schedule_count];
}

cm_explore_run *cm_explore_run_of(const cm_explore *explore, int point, int seed) {
    return &explore->runs[(size_t)point * (size_t)explore->options.seeds + (size_t)seed];
}

static void free_explore_networks(cm_explore_network *networks, int count) {
    for (int i = 0; i < count; ++i) {
        cm_network_free(networks[i].network);
    }
    free(networks);
}

void cm_explore_free(cm_explore *explore) {
    cm_measurements_free(&explore->measurements);
    free(explore->runs);
    free_explore_networks(explore->networks, explore->network_count);
    free_explore_networks(explore->skipped, explore->skipped_count);
    cm_study_free(&explore->study);
    *explore = (cm_explore){.network_count = 0};
}
