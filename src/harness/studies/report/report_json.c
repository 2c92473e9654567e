/* The report as JSON, and back: report.json is both the result and the state to resume from. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/convmark.h"
#include "core/files/json.h"
#include "harness/record/train_json.h"
#include "harness/studies/report/claims.h"
#include "harness/studies/report/report.h"

/* JSON has no NaN: what is unknown is null. */
static json_t *number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* Appends, and makes the whole array NULL when that fails, so that json_pack() fails as well and
 * nothing is left out silently. */
static void append(json_t **array, json_t *value) {
    if (json_array_append_new(*array, value) != 0) {
        json_decref(*array);
        *array = NULL;
    }
}

static json_t *interval_to_json(cm_interval interval) {
    return interval.known ? json_pack("[f, f]", interval.low, interval.high) : json_null();
}

static json_t *program_to_json(void) {
    return json_pack("{s:s, s:s, s:i}", "name", "convmark", "version", CM_VERSION,
                     "numeric_contract", CM_NUMERIC_CONTRACT);
}

static json_t *values_to_json(const double values[CM_MEASURE_COUNT]) {
    return json_pack("{s:f, s:f, s:f}", cm_measure_key(0), values[0], cm_measure_key(1), values[1],
                     cm_measure_key(2), values[2]);
}

static json_t *run_to_json(const cm_report_run *run) {
    json_t *epochs = json_array();
    for (int i = 0; i < run->epoch_count; ++i) {
        append(&epochs, values_to_json(run->epochs[i].values));
    }
    return json_pack("{s:i, s:f, s:f, s:f, s:s, s:o, s:f, s:f, s:i, s:s}", "seed", run->seed,
                     cm_measure_key(0), run->values[0], cm_measure_key(1), run->values[1],
                     cm_measure_key(2), run->values[2], "sha256", run->sha256, "epochs", epochs,
                     "images_per_second", run->images_per_second, "seconds", run->seconds,
                     "threads", run->threads, "isa", run->isa);
}

static json_t *row_to_json(const cm_report_row *row) {
    const bool known = row->prediction.known && !isnan(row->published);
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "n", row->ours.n, "mean",
                     number_or_null(row->ours.mean), "sd", number_or_null(row->ours.sd), "min",
                     number_or_null(row->ours.min), "max", number_or_null(row->ours.max),
                     "prediction_interval", interval_to_json(row->prediction), "published_inside",
                     known ? json_boolean(row->inside) : json_null());
}

static json_t *published_to_json(const cm_published_figures *published) {
    if (published == NULL) {
        return json_null();
    }
    return json_pack("{s:I, s:s?, s:f, s:f, s:f}", "params", (json_int_t)published->parameters,
                     "slip", published->slip, "train_loss", published->train_loss, "test_loss",
                     published->test_loss, "accuracy", published->accuracy);
}

static json_t *variant_to_json(const cm_report_variant *variant) {
    json_t *summary = json_object(), *seeds = json_array();
    for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
        const cm_report_row row = cm_report_row_of(variant, measure);
        json_object_set_new(summary, cm_measure_key(measure), row_to_json(&row));
    }
    for (int i = 0; i < variant->run_count; ++i) {
        append(&seeds, run_to_json(&variant->runs[i]));
    }
    return json_pack("{s:s, s:I, s:s, s:o, s:o, s:o}", "id", variant->network->name, "params",
                     (json_int_t)variant->params, "network_sha256", variant->network_sha256,
                     "published", published_to_json(variant->published), "summary", summary,
                     "seeds", seeds);
}

static json_t *part_to_json(const cm_claim_part *part, const cm_part_result *result) {
    const cm_mean_difference *d = &result->accuracy;
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:s}", "text", part->text, "pairs", result->pairs,
                     "accuracy_difference", number_or_null(d->difference), "confidence_interval",
                     interval_to_json(d->interval), "p", number_or_null(d->p), "verdict",
                     cm_verdict_name(result->verdict));
}

static json_t *claim_to_json(const cm_report *report, int claim) {
    const cm_claim_result result = cm_judge_claim(report, claim);
    json_t *parts = json_array();
    for (int i = 0; i < cm_claims[claim].part_count; ++i) {
        append(&parts, part_to_json(&cm_claims[claim].parts[i], &result.parts[i]));
    }
    return json_pack("{s:i, s:s, s:s, s:b, s:o, s:s}", "claim", claim + 1, "text",
                     cm_claims[claim].text, "verdict", cm_verdict_name(result.verdict),
                     "variants_missing", (int)result.missing, "parts", parts, "remark",
                     result.remark);
}

json_t *cm_report_to_json(const cm_report *report) {
    json_t *variants = json_array(), *claims = json_array();
    for (int i = 0; i < report->variant_count; ++i) {
        append(&variants, variant_to_json(&report->variants[i]));
    }
    for (int i = 0; i < CM_CLAIM_COUNT; ++i) {
        append(&claims, claim_to_json(report, i));
    }
    const cm_report_options *options = &report->options;
    return json_pack("{s:i, s:s, s:b, s:o, s:o, s:O?, s:o, s:O?, s:i, s:f, s:o, s:o}",
                     "schema_version", CM_RESULTS_SCHEMA_VERSION, "kind", "report", "complete",
                     (int)report->complete, "program", program_to_json(), "command",
                     cm_command_json(options->argc, options->argv), "machine", report->machine,
                     "options", cm_train_options_json(&options->train), "data", report->data,
                     "seed_count", options->seeds, "level", CM_REPORT_LEVEL, "variants", variants,
                     "claims", claims);
}

/* ---- And back ---- */

/* What the user can do about a report.json that is in the way. */
#define WAY_OUT "give another --output, or --restart to begin anew"

static cm_status damaged(const char *file, const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT, "%s: %s is missing or damaged; " WAY_OUT, file, what);
}

/* The first key of `expected` whose value `found` does not share; NULL: none. */
static const char *first_difference(const json_t *expected, const json_t *found) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)expected, key, value) {
        if (!json_equal(value, json_object_get(found, key))) {
            return key;
        }
    }
    return NULL;
}

/* Whether section `name` is what this report would write. */
static cm_status check_section(const json_t *json, const char *name, json_t *expected,
                               const char *file, cm_error *error) {
    if (expected == NULL) {
        return cm_fail(error, CM_FAILED, "report: out of memory; close other programs");
    }
    cm_status status = CM_OK;
    const json_t *found = json_object_get(json, name);
    const char *key = first_difference(expected, found);
    if (!json_is_object(found)) {
        status = damaged(file, name, error);
    } else if (key != NULL) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: was made with other %s (\"%s\" differs), so it cannot be resumed; "
                         "give the same options, " WAY_OUT,
                         file, name, key);
    }
    return status;
}

static bool take_values(const json_t *json, double values[CM_MEASURE_COUNT]) {
    for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
        const json_t *value = json_object_get(json, cm_measure_key(measure));
        if (!json_is_number(value)) {
            return false;
        }
        values[measure] = json_number_value(value);
    }
    return true;
}

static bool is_sha256(const char *text) {
    return text != NULL && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Fields but for the epochs; false when one is damaged. */
static bool take_run_fields(const json_t *json, cm_report_run *run) {
    const json_t *seed = json_object_get(json, "seed");
    const json_t *threads = json_object_get(json, "threads");
    const json_t *rate = json_object_get(json, "images_per_second");
    const json_t *seconds = json_object_get(json, "seconds");
    const char *sha256 = json_string_value(json_object_get(json, "sha256"));
    const char *isa = json_string_value(json_object_get(json, "isa"));
    if (!json_is_integer(seed) || json_integer_value(seed) < 0 ||
        json_integer_value(seed) >= CM_REPORT_MAX_SEEDS || !json_is_integer(threads) ||
        json_integer_value(threads) < 1 || json_integer_value(threads) > 1 << 20 ||
        !json_is_number(rate) || !json_is_number(seconds) || !is_sha256(sha256) || isa == NULL ||
        strlen(isa) >= CM_ISA_NAME_SIZE || !take_values(json, run->values)) {
        return false;
    }
    run->seed = (int)json_integer_value(seed);
    run->threads = (int)json_integer_value(threads);
    run->images_per_second = json_number_value(rate);
    run->seconds = json_number_value(seconds);
    strcpy(run->sha256, sha256);
    strcpy(run->isa, isa);
    return true;
}

static cm_status take_run(cm_report *report, cm_report_variant *variant, const json_t *json,
                          const char *file, cm_error *error) {
    cm_report_run run = {.epochs = NULL};
    const json_t *epochs = json_object_get(json, "epochs");
    const size_t count = json_array_size(epochs);
    if (!take_run_fields(json, &run) || !json_is_array(epochs) ||
        count > (size_t)report->options.train.epochs) {
        return damaged(file, "a run", error);
    }
    if (run.seed >= report->options.seeds) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: holds %s with seed %d, but only seeds 0 to %d are asked for; raise "
                       "--seeds, " WAY_OUT,
                       file, variant->network->name, run.seed, report->options.seeds - 1);
    }
    if (cm_report_find_run(variant, run.seed) != NULL) {
        return damaged(file, "a run (its seed is there twice)", error);
    }
    run.epoch_count = (int)count;
    run.epochs = calloc(count + 1, sizeof *run.epochs);
    if (run.epochs == NULL) {
        return cm_fail(error, CM_FAILED, "report: out of memory; close other programs");
    }
    for (size_t i = 0; i < count; ++i) {
        if (!take_values(json_array_get(epochs, i), run.epochs[i].values)) {
            free(run.epochs);
            return damaged(file, "an epoch of a run", error);
        }
    }
    cm_report_add_run(report, variant, &run);
    return CM_OK;
}

static cm_status take_variant(cm_report *report, const json_t *json, const char *file,
                              cm_error *error) {
    const char *id = json_string_value(json_object_get(json, "id"));
    const char *hash = json_string_value(json_object_get(json, "network_sha256"));
    const json_t *seeds = json_object_get(json, "seeds");
    if (id == NULL || hash == NULL || !json_is_array(seeds)) {
        return damaged(file, "a variant", error);
    }
    if (json_array_size(seeds) == 0) {
        return CM_OK;
    }
    cm_report_variant *variant = (cm_report_variant *)cm_report_find(report, id);
    if (variant == NULL) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "%s: holds variant %s, which is not asked for; add it to --variants, " WAY_OUT, file,
            id);
    }
    if (strcmp(hash, variant->network_sha256) != 0) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "%s: its %s has other layers than this one, so it cannot be resumed; " WAY_OUT, file,
            id);
    }
    for (size_t i = 0; i < json_array_size(seeds); ++i) {
        const cm_status status = take_run(report, variant, json_array_get(seeds, i), file, error);
        if (status != CM_OK) {
            return status;
        }
    }
    return CM_OK;
}

cm_status cm_report_take_json(cm_report *report, const json_t *json, const char *file,
                              cm_error *error) {
    const char *kind = json_string_value(json_object_get(json, "kind"));
    const json_t *version = json_object_get(json, "schema_version");
    const json_t *variants = json_object_get(json, "variants");
    if (kind == NULL || strcmp(kind, "report") != 0 ||
        json_integer_value(version) != CM_RESULTS_SCHEMA_VERSION || !json_is_array(variants)) {
        return cm_fail(error, CM_BAD_INPUT, "%s: is not a report of this program; " WAY_OUT, file);
    }
    const struct {
        const char *name;
        json_t *expected;
    } sections[] = {{"program", program_to_json()},
                    {"options", cm_train_options_json(&report->options.train)},
                    {"data", json_pack("{s:s}", "sha256", report->data_sha256)}};
    cm_status status = CM_OK;
    for (int i = 0; i < 3; ++i) {
        if (status == CM_OK) {
            status = check_section(json, sections[i].name, sections[i].expected, file, error);
        }
        json_decref(sections[i].expected);
    }
    for (size_t i = 0; status == CM_OK && i < json_array_size(variants); ++i) {
        status = take_variant(report, json_array_get(variants, i), file, error);
    }
    return status;
}
