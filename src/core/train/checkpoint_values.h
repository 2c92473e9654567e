/**
 * The structures that a checkpoint holds as tables: one row per member, each an 8-byte value after
 * its name. Internal to train/.
 */
#ifndef CM_CORE_TRAIN_CHECKPOINT_VALUES_H
#define CM_CORE_TRAIN_CHECKPOINT_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum cm_value_kind {
    CM_VALUE_INT,
    CM_VALUE_SCHEDULE, /* cm_schedule_kind: an int that is shown by name */
    CM_VALUE_BOOL,
    CM_VALUE_UINT64,
    CM_VALUE_DOUBLE
} cm_value_kind;

typedef struct cm_value_row {
    const char *name;
    cm_value_kind kind;
    size_t offset;
} cm_value_row;

typedef struct cm_values {
    const cm_value_row *rows;
    int count;
} cm_values;

/* Of cm_train_options, cm_train_state and cm_epoch_result. */
extern const cm_values cm_option_values, cm_state_values, cm_epoch_values;

/** The member's value as it is in the file. */
uint64_t cm_value_get(const cm_value_row *row, const void *structure);
/** Sets the member; false if the value is out of range. */
bool cm_value_set(const cm_value_row *row, uint64_t value, void *structure);
/** As a person reads it; reals with `digits`. */
void cm_value_format(const cm_value_row *row, uint64_t value, int digits, char *text, size_t size);

#endif
