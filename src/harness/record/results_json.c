#include "harness/record/results_json.h"

#include <math.h>

#include "convmark/convmark.h"
#include "core/files/json.h"
#include "core/system/energy.h"

json_t *cm_program_json(void) {
    return json_pack("{s:s, s:s, s:i}", "name", "convmark", "version", CM_VERSION,
                     "numeric_contract", CM_NUMERIC_CONTRACT);
}

json_t *cm_command_json(int argc, const char *const *argv) {
    json_t *list = json_array();
    for (int i = 0; i < argc; ++i) {
        cm_json_append(&list, cm_json_string(argv[i]));
    }
    return list;
}

json_t *cm_dataset_json(const cm_dataset *dataset) {
    char hex[65];
    cm_dataset_sha256(dataset, hex);
    const cm_images *images = &dataset->train;
    return json_pack(
        "{s:s, s:o, s:b, s:b, s:i, s:[i, i, i], s:i, s:i, s:s}", "name", dataset->name, "source",
        dataset->source[0] != '\0' ? cm_json_string(dataset->source) : json_null(), "real",
        dataset->real, "verified", dataset->verified, "classes", dataset->classes, "image",
        cm_images_channels(images), images->height, images->width, "train_images", images->count,
        "validation_images", dataset->validation.count, "sha256", hex);
}

json_t *cm_energy_note_json(const cm_energy *energy) {
    return energy == NULL || energy->note[0] == '\0' ? json_null() : cm_json_string(energy->note);
}

json_t *cm_joules_json(double joules) {
    return isnan(joules) ? json_null() : json_real(joules);
}

json_t *cm_finite_or_null_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *cm_interval_json(cm_interval interval) {
    return interval.known ? json_pack("[f, f]", interval.low, interval.high) : json_null();
}
