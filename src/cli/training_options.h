/**
 * Options that commands share: the data set, the algorithm of convolutions, and those of training.
 */
#ifndef CM_CLI_TRAINING_OPTIONS_H
#define CM_CLI_TRAINING_OPTIONS_H

#include "cli/options/options.h"
#include "convmark/kernels.h"
#include "convmark/trainer.h"

enum { CM_MAX_BATCH = 10000 }; /* images per batch */

/** --data. Writes to a `const char *`: NULL: search, as cm_dataset_open() does. */
extern const cm_option cm_data_option_table[];

/** --conv-algorithm. Writes to a cm_conv2d_algorithm. */
extern const cm_option cm_conv_algorithm_option_table[];

/** --epochs --steps --valid-steps of the studies, which need at least one of each. Writes to a
 * cm_train_options. */
extern const cm_option cm_protocol_option_table[];

/** --lr --schedule --schedule-step --schedule-factor. */
typedef struct cm_rate_options {
    double learning_rate;
    cm_schedule_kind schedule;
    int step;      /* 0: not given */
    double factor; /* 0: not given */
} cm_rate_options;

extern const cm_option cm_rate_option_table[];
cm_rate_options cm_rate_options_default(void);

/** Parses a schedule's name; a message as in cm_option_parse. */
cm_status cm_parse_schedule(const char *text, cm_schedule_kind *kind, cm_error *error);

/** Puts them into `train`. CM_USAGE: an option that the schedule does not have. `command` is named
 * in the message. */
cm_status cm_rate_options_apply(const char *command, const cm_rate_options *options,
                                cm_train_options *train, cm_error *error);

/** Checks rules over several options of training, with the options' names, and then all of
 * `train`. */
cm_status cm_check_training(const char *command, const cm_train_options *train, cm_error *error);

#endif
