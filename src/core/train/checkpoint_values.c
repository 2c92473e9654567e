#include "core/train/checkpoint_values.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/train/checkpoint.h"

#define ROW(type, kind, member) \
    { #member, CM_VALUE_##kind, offsetof(type, member) }
#define OPTION(kind, member) ROW(cm_train_options, kind, member)
#define STATE(kind, member) ROW(cm_train_state, kind, member)
#define EPOCH(member) ROW(cm_epoch_result, DOUBLE, member)

/* A new member of cm_train_options, or of the state, is a row here. */
static const cm_value_row option_rows[] = {
    OPTION(UINT64, seed),
    OPTION(INT, epochs),
    OPTION(INT, steps),
    OPTION(INT, valid_steps),
    OPTION(INT, batch),
    OPTION(INT, block),
    OPTION(BOOL, shuffle),
    OPTION(DOUBLE, optimizer.learning_rate),
    OPTION(DOUBLE, optimizer.beta1),
    OPTION(DOUBLE, optimizer.beta2),
    OPTION(DOUBLE, optimizer.epsilon),
    OPTION(DOUBLE, optimizer.weight_decay),
    OPTION(SCHEDULE, schedule),
    OPTION(INT, schedule_step),
    OPTION(DOUBLE, schedule_factor),
    OPTION(DOUBLE, plateau_factor),
    OPTION(INT, plateau_patience),
    OPTION(INT, early_stopping_patience),
    OPTION(DOUBLE, until_accuracy),
};

static const cm_value_row state_rows[] = {
    STATE(INT, epoch),
    STATE(INT, step),
    STATE(INT, valid_step),
    STATE(DOUBLE, loss_sum),
    STATE(DOUBLE, valid_loss_sum),
    STATE(UINT64, correct),
    STATE(DOUBLE, current.train_loss),
    STATE(DOUBLE, current.test_loss),
    STATE(DOUBLE, current.accuracy),
    STATE(DOUBLE, current.learning_rate),
    STATE(DOUBLE, current.train_seconds),
    STATE(DOUBLE, current.valid_seconds),
    STATE(DOUBLE, current.joules),
    STATE(DOUBLE, schedule.rate),
    STATE(UINT64, schedule.step),
    STATE(DOUBLE, schedule.plateau.best),
    STATE(INT, schedule.plateau.bad_epochs),
    STATE(INT, schedule.plateau.since_best),
    STATE(DOUBLE, train_seconds),
    STATE(BOOL, early_stopped),
    STATE(BOOL, reached_accuracy),
};

static const cm_value_row epoch_rows[] = {
    EPOCH(train_loss),    EPOCH(test_loss),     EPOCH(accuracy), EPOCH(learning_rate),
    EPOCH(train_seconds), EPOCH(valid_seconds), EPOCH(joules),
};

#define VALUES(rows) \
    { rows, (int)(sizeof(rows) / sizeof(rows)[0]) }

const cm_values cm_option_values = VALUES(option_rows);
const cm_values cm_state_values = VALUES(state_rows);
const cm_values cm_epoch_values = VALUES(epoch_rows);

uint64_t cm_value_get(const cm_value_row *row, const void *structure) {
    const void *member = (const char *)structure + row->offset;
    uint64_t value = 0;
    switch (row->kind) {
    case CM_VALUE_INT:
    case CM_VALUE_SCHEDULE:
        return (uint64_t)(int64_t)(*(const int *)member);
    case CM_VALUE_BOOL:
        return *(const bool *)member ? 1 : 0;
    case CM_VALUE_UINT64:
    case CM_VALUE_DOUBLE:
        memcpy(&value, member, sizeof value);
        break;
    }
    return value;
}

/* Not negative, and finite; but there is a best of none, and joules that cannot be measured. */
static bool is_valid(const char *name, double value) {
    const char *last = strrchr(name, '.');
    last = last != NULL ? last + 1 : name;
    return (value >= 0.0 && (isfinite(value) || strcmp(last, "best") == 0)) ||
           (isnan(value) && strcmp(last, "joules") == 0);
}

bool cm_value_set(const cm_value_row *row, uint64_t value, void *structure) {
    void *member = (char *)structure + row->offset;
    double real = 0.0;
    switch (row->kind) {
    case CM_VALUE_INT:
    case CM_VALUE_SCHEDULE:
        *(int *)member = value <= INT32_MAX ? (int)value : 0;
        return value <= INT32_MAX;
    case CM_VALUE_BOOL:
        *(bool *)member = value == 1;
        return value <= 1;
    case CM_VALUE_UINT64:
        memcpy(member, &value, sizeof value);
        return value <= INT64_MAX;
    case CM_VALUE_DOUBLE:
        break;
    }
    memcpy(&real, &value, sizeof real);
    memcpy(member, &value, sizeof value);
    return is_valid(row->name, real);
}

void cm_value_format(const cm_value_row *row, uint64_t value, int digits, char *text, size_t size) {
    double real;
    memcpy(&real, &value, sizeof real);
    if (row->kind == CM_VALUE_DOUBLE) {
        snprintf(text, size, "%.*g", digits, real);
    } else if (row->kind == CM_VALUE_SCHEDULE && value < CM_SCHEDULE_COUNT) {
        snprintf(text, size, "%s", cm_schedule_name((cm_schedule_kind)value));
    } else {
        snprintf(text, size, "%" PRIu64, value);
    }
}
