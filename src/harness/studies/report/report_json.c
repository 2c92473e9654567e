#include "harness/studies/report/report_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/files/json.h"
#include "harness/record/train_json.h"
#include "harness/studies/report/claims.h"
#include "harness/studies/study_json.h"

/* Puts the measures of a run or an epoch into `object`; false: no memory, or not finite. */
static bool set_measures(json_t *object, const double values[CM_MEASURE_COUNT], cm_error *error) {
    bool ok = true;
    for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
        ok = ok && cm_json_set(object, cm_measure_key(measure), json_real(values[measure]), error);
    }
    return ok;
}

static json_t *report_epoch_json(const cm_report_epoch *epoch, cm_error *error) {
    json_t *o = json_object();
    if (!set_measures(o, epoch->values, error)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *report_run_json(const cm_report_run *run, int seed, cm_error *error) {
    json_t *epochs = json_array(), *o = json_object();
    for (int i = 0; i < run->epoch_count; ++i) {
        cm_json_append(&epochs, report_epoch_json(&run->epochs[i], error));
    }
    const bool ok = cm_json_set(o, "seed", json_integer(seed), error) &&
                    set_measures(o, run->values, error) &&
                    cm_json_set(o, "sha256", json_string(run->sha256), error) &&
                    cm_json_set(o, "epochs", json_incref(epochs), error) &&
                    cm_json_set(o, "images_per_second", json_real(run->images_per_second), error) &&
                    cm_json_set(o, "seconds", json_real(run->seconds), error) &&
                    cm_json_set(o, "threads", json_integer(run->threads), error) &&
                    cm_json_set(o, "isa", json_string(run->isa), error);
    json_decref(epochs);
    if (!ok) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static json_t *report_row_json(const cm_report_row *row) {
    const bool known = row->prediction.known && !isnan(row->published);
    return json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "n", row->ours.n, "mean",
        cm_finite_or_null_json(row->ours.mean), "sd", cm_finite_or_null_json(row->ours.sd), "min",
        cm_finite_or_null_json(row->ours.min), "max", cm_finite_or_null_json(row->ours.max),
        "prediction_interval", cm_interval_json(row->prediction), "published_inside",
        known ? json_boolean(row->inside) : json_null());
}

static json_t *published_figures_json(const cm_published_figures *published) {
    if (published == NULL) {
        return json_null();
    }
    return json_pack("{s:I, s:s?, s:f, s:f, s:f}", "params", (json_int_t)published->parameters,
                     "slip", published->slip, "train_loss", published->train_loss, "test_loss",
                     published->test_loss, "accuracy", published->accuracy);
}

static json_t *report_summary_json(const cm_report *report, const cm_report_variant *variant,
                                   cm_error *error) {
    json_t *summary = json_object();
    for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
        const cm_report_row row = cm_report_row_of(report, variant, measure);
        if (!cm_json_set(summary, cm_measure_key(measure), report_row_json(&row), error)) {
            json_decref(summary);
            return NULL;
        }
    }
    return summary;
}

static json_t *report_variant_json(const cm_report *report, const cm_report_variant *variant,
                                   cm_error *error) {
    json_t *seeds = json_array();
    for (int seed = 0; seed < report->options.seeds; ++seed) {
        if (variant->runs[seed].done) {
            cm_json_append(&seeds, report_run_json(&variant->runs[seed], seed, error));
        }
    }
    return json_pack("{s:s, s:I, s:s, s:o, s:o, s:o}", "id", variant->network->name, "params",
                     (json_int_t)variant->params, "network_sha256", variant->network_sha256,
                     "published", published_figures_json(variant->published), "summary",
                     report_summary_json(report, variant, error), "seeds", seeds);
}

static json_t *claim_part_json(const cm_claim_part *part, const cm_part_result *result) {
    const cm_mean_difference *d = &result->accuracy;
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:s}", "text", part->text, "pairs", result->pairs,
                     "accuracy_difference", cm_finite_or_null_json(d->difference),
                     "confidence_interval", cm_interval_json(d->interval), "p",
                     cm_finite_or_null_json(d->p), "verdict", cm_verdict_name(result->verdict));
}

static json_t *claim_json(const cm_report *report, int claim) {
    const cm_claim_result result = cm_judge_claim(report, claim);
    json_t *parts = json_array();
    for (int i = 0; i < cm_claims[claim].part_count; ++i) {
        cm_json_append(&parts, claim_part_json(&cm_claims[claim].parts[i], &result.parts[i]));
    }
    return json_pack("{s:i, s:s, s:s, s:b, s:o, s:s}", "claim", claim + 1, "text",
                     cm_claims[claim].text, "verdict", cm_verdict_name(result.verdict),
                     "variants_missing", (int)result.missing, "parts", parts, "remark",
                     result.remark);
}

static json_t *report_variants_json(const cm_report *report, cm_error *error) {
    json_t *variants = json_array();
    for (int i = 0; i < report->variant_count; ++i) {
        cm_json_append(&variants, report_variant_json(report, &report->variants[i], error));
    }
    return variants;
}

static json_t *report_claims_json(const cm_report *report) {
    json_t *claims = json_array();
    for (int i = 0; i < CM_CLAIM_COUNT; ++i) {
        cm_json_append(&claims, claim_json(report, i));
    }
    return claims;
}

json_t *cm_report_to_json(const cm_report *report, cm_error *error) {
    const cm_report_options *options = &report->options;
    json_t *o = json_object();
    if (cm_study_set_head(o, "report", &report->study, error) &&
        cm_json_set(o, "options", cm_train_options_json(&options->train), error) &&
        cm_json_set(o, "data", json_incref(report->study.data), error) &&
        cm_json_set(o, "seed_count", json_integer(options->seeds), error) &&
        cm_json_set(o, "level", json_real(CM_RESULTS_LEVEL), error) &&
        cm_json_set(o, "variants", report_variants_json(report, error), error) &&
        cm_json_set(o, "claims", report_claims_json(report), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

/* ---- Resuming ---- */

static cm_status refuse_damaged(const char *file, const char *what, cm_error *error) {
    return cm_fail(error, CM_BAD_INPUT, "%s: %s is missing or damaged", file, what);
}

/* The first key of `expected` whose value `found` does not share; NULL: none. */
static const char *first_differing_key(const json_t *expected, const json_t *found) {
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
static cm_status check_report_section(const json_t *json, const char *name, json_t *expected,
                                      const char *file, cm_error *error) {
    if (expected == NULL) {
        return cm_study_out_of_memory("report", error);
    }
    cm_status status = CM_OK;
    const json_t *found = json_object_get(json, name);
    const char *key = first_differing_key(expected, found);
    if (!json_is_object(found)) {
        status = refuse_damaged(file, name, error);
    } else if (key != NULL) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: was made with other %s (\"%s\" differs), so it cannot be resumed",
                         file, name, key);
    }
    return status;
}

static bool take_measures(const json_t *json, double values[CM_MEASURE_COUNT]) {
    for (cm_measure measure = 0; measure < CM_MEASURE_COUNT; ++measure) {
        const json_t *value = json_object_get(json, cm_measure_key(measure));
        if (!json_is_number(value)) {
            return false;
        }
        values[measure] = json_number_value(value);
    }
    return true;
}

static bool is_sha256_text(const char *text) {
    return text != NULL && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool is_int_within(const json_t *json, json_int_t low, json_int_t high) {
    return json_is_integer(json) && json_integer_value(json) >= low &&
           json_integer_value(json) <= high;
}

/* Everything but seed and epochs; false when a member is damaged. */
static bool take_run_members(const json_t *json, cm_report_run *run) {
    const json_t *threads = json_object_get(json, "threads");
    const json_t *rate = json_object_get(json, "images_per_second");
    const json_t *seconds = json_object_get(json, "seconds");
    const char *sha256 = json_string_value(json_object_get(json, "sha256"));
    const char *isa = json_string_value(json_object_get(json, "isa"));
    if (!is_int_within(threads, 1, 1 << 20) || !json_is_number(rate) || !json_is_number(seconds) ||
        !is_sha256_text(sha256) || isa == NULL || strlen(isa) >= CM_REPORT_ISA_SIZE ||
        !take_measures(json, run->values)) {
        return false;
    }
    run->threads = (int)json_integer_value(threads);
    run->images_per_second = json_number_value(rate);
    run->seconds = json_number_value(seconds);
    strcpy(run->sha256, sha256);
    strcpy(run->isa, isa);
    return true;
}

static cm_status take_report_epochs(const json_t *epochs, const char *file, cm_report_run *run,
                                    cm_error *error) {
    const size_t count = json_array_size(epochs);
    run->epoch_count = (int)count;
    run->epochs = calloc(count + 1, sizeof *run->epochs);
    if (run->epochs == NULL) {
        return cm_study_out_of_memory("report", error);
    }
    for (size_t i = 0; i < count; ++i) {
        if (!take_measures(json_array_get(epochs, i), run->epochs[i].values)) {
            return refuse_damaged(file, "an epoch of a run", error);
        }
    }
    return CM_OK;
}

static cm_status take_report_run(const cm_report *report, const cm_report_variant *variant,
                                 const json_t *json, const char *file, cm_error *error) {
    cm_report_run run = {.done = true};
    const json_t *epochs = json_object_get(json, "epochs"), *number = json_object_get(json, "seed");
    if (!is_int_within(number, 0, CM_STUDY_MAX_SEEDS - 1) || !take_run_members(json, &run) ||
        !json_is_array(epochs) || json_array_size(epochs) > (size_t)report->options.train.epochs) {
        return refuse_damaged(file, "a run", error);
    }
    const int seed = (int)json_integer_value(number);
    if (seed >= report->options.seeds) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: holds %s with seed %d, but only seeds 0 to %d are asked for; ask for "
                       "more",
                       file, variant->network->name, seed, report->options.seeds - 1);
    }
    if (variant->runs[seed].done) {
        return refuse_damaged(file, "a run (its seed is there twice)", error);
    }
    const cm_status status = take_report_epochs(epochs, file, &run, error);
    if (status != CM_OK) {
        free(run.epochs);
        return status;
    }
    variant->runs[seed] = run;
    return CM_OK;
}

static cm_status take_report_variant(const cm_report *report, const json_t *json, const char *file,
                                     cm_error *error) {
    const char *id = json_string_value(json_object_get(json, "id"));
    const char *hash = json_string_value(json_object_get(json, "network_sha256"));
    const json_t *runs = json_object_get(json, "seeds");
    if (id == NULL || hash == NULL || !json_is_array(runs)) {
        return refuse_damaged(file, "an item of \"variants\"", error);
    }
    if (json_array_size(runs) == 0) {
        return CM_OK;
    }
    const cm_report_variant *variant = cm_report_find(report, id);
    if (variant == NULL) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: holds variant %s, which is not asked for; ask for it as well", file,
                       id);
    }
    if (strcmp(hash, variant->network_sha256) != 0) {
        return cm_fail(error, CM_BAD_INPUT,
                       "%s: its %s has other layers than this one, so it cannot be resumed", file,
                       id);
    }
    for (size_t i = 0; i < json_array_size(runs); ++i) {
        const cm_status status =
            take_report_run(report, variant, json_array_get(runs, i), file, error);
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
        return cm_fail(error, CM_BAD_INPUT, "%s: is not a report of this program", file);
    }
    const struct {
        const char *name;
        json_t *expected;
    } sections[] = {{"program", cm_program_json()},
                    {"options", cm_train_options_json(&report->options.train)},
                    {"data", json_pack("{s:s}", "sha256", cm_report_data_sha256(report))}};
    cm_status status = CM_OK;
    for (int i = 0; i < 3; ++i) {
        if (status == CM_OK) {
            status =
                check_report_section(json, sections[i].name, sections[i].expected, file, error);
        }
        json_decref(sections[i].expected);
    }
    for (size_t i = 0; status == CM_OK && i < json_array_size(variants); ++i) {
        status = take_report_variant(report, json_array_get(variants, i), file, error);
    }
    return status;
}
