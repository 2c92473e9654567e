#include "harness/studies/study_json.h"

#include <stdio.h>
#include <string.h>

#include "core/files/json.h"

bool cm_study_set_head(json_t *object, const char *kind, const cm_study *study, cm_error *error) {
    return cm_json_set(object, "schema_version", json_integer(CM_RESULTS_SCHEMA_VERSION), error) &&
           cm_json_set(object, "kind", json_string(kind), error) &&
           cm_json_set(object, "complete", json_boolean(study->complete), error) &&
           cm_json_set(object, "program", cm_program_json(), error) &&
           cm_json_set(object, "command", json_incref(study->command), error) &&
           cm_json_set(object, "started", json_incref(study->started), error) &&
           cm_json_set(object, "machine", json_incref(study->machine), error);
}

json_t *cm_study_measurements_json(const cm_measurements *measurements, cm_error *error) {
    json_t *list = json_array();
    for (int i = 0; list != NULL && i < measurements->count; ++i) {
        cm_json_append(&list, cm_measurement_json(&measurements->items[i], error));
    }
    return list;
}

/* ---- Resuming ---- */

cm_status cm_study_refuse(const char *file, const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT, "%s: %s", file, what);
}

/* Whether both have the same member, or member of a member. */
static bool same_member(const json_t *a, const json_t *b, const char *key, const char *inner) {
    const json_t *left = json_object_get(a, key), *right = json_object_get(b, key);
    return inner == NULL ? json_equal(left, right)
                         : json_equal(json_object_get(left, inner), json_object_get(right, inner));
}

cm_status cm_study_check_same(const json_t *earlier, const json_t *ours, const char *file,
                              cm_error *error) {
    static const struct {
        const char *key, *inner, *before, *after; /* the kind stands between before and after */
    } rows[] = {
        {"kind", NULL, "this is not a file of convmark ", ""},
        {"schema_version", NULL, "its schema version is not the one that convmark ", " writes"},
        {"program", "numeric_contract", "convmark ", " made it under another numeric contract"},
        {"options", NULL, "convmark ", " made it with other options or another data set"},
        {"data", NULL, "convmark ", " made it with other options or another data set"},
        {"program", NULL, "another program or build of convmark ", " made it"},
        {"machine", "build", "another program or build of convmark ", " made it"},
        {"machine", "cpu", "convmark ", " made it on another machine"}};
    const char *kind = json_string_value(json_object_get(ours, "kind"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        if (!same_member(earlier, ours, rows[i].key, rows[i].inner)) {
            char what[120];
            snprintf(what, sizeof what, "%s%s%s", rows[i].before, kind, rows[i].after);
            return cm_study_refuse(file, what, error);
        }
    }
    return CM_OK;
}

cm_status cm_study_resume_measurements(cm_measurements *planned, int room, const json_t *array,
                                       const char *file, cm_error *error) {
    cm_measurements old;
    cm_status status = cm_measurements_read(array, file, &old, error);
    int rounds = room;
    for (int i = 0; status == CM_OK && i < planned->count; ++i) {
        cm_measurement *m = &planned->items[i];
        const cm_measurement *from = i < old.count ? &old.items[i] : NULL;
        if (from == NULL || strcmp(from->name, m->name) != 0 || from->n > room) {
            status = cm_study_refuse(file, "its measurements are not those of this command", error);
            break;
        }
        for (int k = 0; k < from->n; ++k) {
            m->samples[k] = from->samples[k];
        }
        rounds = from->n < rounds ? from->n : rounds;
    }
    for (int i = 0; i < planned->count; ++i) {
        planned->items[i].n = status == CM_OK ? rounds : 0;
    }
    cm_measurements_free(&old);
    return status;
}
