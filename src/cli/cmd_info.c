/* convmark info: what this machine is, what this process may use of it, and what it can do. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/machine.h"
#include "core/escape.h"
#include "core/files/json.h"
#include "core/system/threads.h"
#include "harness/measure/capability.h"
#include "harness/measure/conditions.h"
#include "harness/record/machine.h"
#include "harness/record/train_json.h"

typedef struct info_options {
    bool measure;
    const char *json;
} info_options;

#define MEMBER(name) offsetof(info_options, name)
static const cm_option option_table[] = {
    {"no-measure", CM_OPTION_FALSE, MEMBER(measure), NULL,
     "Skip measuring peak and bandwidth, which takes about two seconds", 0, 0, NULL},
    {"json", CM_OPTION_STRING, MEMBER(json), "FILE",
     "Write all of it as JSON to FILE ('-': standard output)", 0, 0, NULL},
    {0}};
#undef MEMBER

enum { MAX_TEAMS = 2, BYTES = 32 };

/* What the command shows. */
typedef struct info {
    json_t *machine, *conditions;
    int team_count; /* one thread, and all of them */
    cm_capability teams[MAX_TEAMS];
} info;

static cm_status gather(const info_options *options, cm_machine_options *machine, info *found,
                        cm_error *error) {
    const cm_topology *topology = machine->topology;
    cm_status status = cm_machine_json(topology, &found->machine, error);
    found->conditions = cm_conditions_json(topology);
    if (status == CM_OK && found->conditions == NULL) {
        status = cm_fail(error, CM_FAILED, "info: out of memory; close other programs");
    }
    const int teams[MAX_TEAMS] = {1, machine->threads};
    for (int i = 0; status == CM_OK && options->measure && i < MAX_TEAMS; ++i) {
        if (i > 0 && teams[i] == teams[i - 1]) {
            break;
        }
        bool pinned;
        cm_error warning;
        status = cm_threads_start(teams[i], machine->pin, topology, &pinned, &warning, error);
        if (status == CM_OK) {
            status = cm_capability_measure(topology, teams[i], machine->chosen_isa,
                                           &found->teams[i], error);
        }
        ++found->team_count;
    }
    return status;
}

static json_t *info_json(const info *found, cm_error *error) {
    json_t *teams = json_array(), *o = json_object();
    for (int i = 0; i < found->team_count; ++i) {
        cm_json_append(&teams, cm_capability_json(&found->teams[i], error));
    }
    if (cm_json_set(o, "schema_version", json_integer(CM_RESULTS_SCHEMA_VERSION), error) &&
        cm_json_set(o, "kind", json_string("info"), error) &&
        cm_json_set(o, "machine", json_incref(found->machine), error) &&
        cm_json_set(o, "conditions", json_incref(found->conditions), error) &&
        cm_json_set(o, "capability", teams, error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

/* 33554432 as "32 MiB". */
static const char *format_bytes(double bytes, char text[BYTES]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        ++unit;
    }
    snprintf(text, BYTES, "%.4g %s", bytes, units[unit]);
    return text;
}

static cm_shown shown_at(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return cm_show(CM_SINK_TERMINAL, text != NULL ? text : "unknown");
}

static void print_caches(FILE *out, const cm_topology *topology) {
    static const char *const kinds[] = {"instructions", "data", "unified"};
    for (int i = 0; i < topology->cache_count; ++i) {
        const cm_cache *cache = &topology->caches[i];
        char size[BYTES];
        fprintf(out, "  L%d %-13s %d x %s\n", cache->level,
                kinds[cache->kind == 'i'   ? 0
                      : cache->kind == 'd' ? 1
                                           : 2],
                cache->count, format_bytes((double)cache->size, size));
    }
}

static void print_kinds(FILE *out, const cm_topology *topology) {
    char kinds[CM_MAX_CORE_KINDS * 64];
    if (topology->kind_count > 1) {
        cm_topology_kinds_text(topology, topology->usable_cores, kinds, sizeof kinds);
        fprintf(out, "kinds of cores    %s, fastest first\n", CM_SHOW(kinds));
    }
}

static void print_machine(FILE *out, const cm_machine_options *machine, const info *found) {
    const cm_topology *topology = machine->topology;
    const json_t *build = json_object_get(found->machine, "build");
    const json_t *cpu = json_object_get(found->machine, "cpu");
    const json_t *frequency = json_object_get(cpu, "frequency");
    const json_t *turbo = json_object_get(frequency, "turbo");
    char memory[BYTES];
    fprintf(out, "CPU               %s\n", CM_SHOW(topology->cpu_model));
    fprintf(out, "packages          %d\nNUMA nodes        %d\n", topology->packages,
            topology->numa_nodes);
    fprintf(out, "cores             %d physical, %d logical\n", topology->cores, topology->pus);
    fprintf(out, "usable            %d physical, %d logical", topology->usable_cores,
            topology->usable_pus);
    if (topology->cpu_quota > 0) {
        fprintf(out, ", CPU quota of %.2f", topology->cpu_quota);
    }
    fprintf(out, "; %d thread%s by default\n", topology->default_threads,
            topology->default_threads == 1 ? "" : "s");
    print_kinds(out, topology);
    fputs("instruction sets  ", out);
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (cm_kernels_of(isa) != NULL) {
            fprintf(out, "%s%s%s", isa == 0 ? "" : " ", cm_isa_name(isa),
                    isa == machine->chosen_isa ? "*" : "");
        }
    }
    fprintf(out, "  (* used)\nfrequency         governor %s, turbo %s\n",
            shown_at(frequency, "governor").text,
            json_is_boolean(turbo) ? (json_is_true(turbo) ? "on" : "off") : "unknown");
    fprintf(
        out, "memory            %s",
        format_bytes(json_number_value(json_object_get(found->machine, "memory_bytes")), memory));
    if (topology->memory_limit > 0) {
        fprintf(out, ", a control group grants %s", format_bytes(topology->memory_limit, memory));
    }
    fputc('\n', out);
    fprintf(out, "system            %s, %s\n", shown_at(found->machine, "os").text,
            shown_at(found->machine, "kernel").text);
    fprintf(out, "build             convmark %s, %s, %s\n", shown_at(build, "version").text,
            shown_at(build, "compiler").text, shown_at(build, "type").text);
    fputs("caches\n", out);
    print_caches(out, topology);
}

static void print_capability(FILE *out, const info *found) {
    if (found->team_count == 0) {
        return;
    }
    fputs("\nmeasured           ", out);
    for (int i = 0; i < found->team_count; ++i) {
        fprintf(out, "%7d thread%s", found->teams[i].threads,
                found->teams[i].threads == 1 ? " " : "s");
    }
    fputs("\n", out);
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (!(found->teams[0].flops[isa] > 0.0)) {
            continue;
        }
        fprintf(out, "  fma %-14s", cm_isa_name(isa));
        for (int i = 0; i < found->team_count; ++i) {
            fprintf(out, "%8.1f GFLOP/s", found->teams[i].flops[isa] * 1e-9);
        }
        fputs("\n", out);
    }
    for (int level = 0; level < found->teams[0].level_count; ++level) {
        fprintf(out, "  read %-13s", found->teams[0].levels[level].name);
        for (int i = 0; i < found->team_count; ++i) {
            fprintf(out, "%11.1f GB/s", found->teams[i].levels[level].bytes_per_second * 1e-9);
        }
        fputs("\n", out);
    }
}

static void print_conditions(FILE *out, const info *found) {
    size_t i;
    json_t *item;
    fputs(json_array_size(found->conditions) > 0 ? "\nConditions that make timings unreliable:\n"
                                                 : "",
          out);
    json_array_foreach(found->conditions, i, item) {
        fprintf(out, "  %s\n", shown_at(item, "message").text);
    }
}

/* Without measuring, another machine's topology can be shown as well. */
static cm_status describe_machine(cm_machine_options *machine, cm_error *error) {
    const cm_status status = cm_machine_load(machine, error);
    if (status == CM_OK && machine->topology->foreign[0] != '\0') {
        cm_warn("%s describes another machine than the one that this process runs on; nothing can "
                "be measured with it",
                machine->topology->foreign);
    }
    return status;
}

static cm_status run_info(const info_options *options, cm_machine_options *machine,
                          cm_error *error) {
    info found = {.team_count = 0};
    cm_status status = cm_check_output("info", "json", options->json, NULL, error);
    if (status == CM_OK) {
        status = options->measure ? cm_machine_prepare(machine, error)
                                  : describe_machine(machine, error);
    }
    if (status == CM_OK) {
        status = gather(options, machine, &found, error);
    }
    if (status == CM_OK && !machine->quiet) {
        FILE *out = cm_is_stdout(options->json) ? stderr : stdout;
        print_machine(out, machine, &found);
        print_capability(out, &found);
        print_conditions(out, &found);
    }
    if (status == CM_OK && options->json != NULL) {
        json_t *json = info_json(&found, error);
        status = json == NULL ? CM_FAILED : cm_json_write(options->json, json, error);
        json_decref(json);
    }
    json_decref(found.machine);
    json_decref(found.conditions);
    return status;
}

cm_status cm_command_info(const cm_command *command, int argc, const char **argv, cm_error *error) {
    info_options options = {.measure = true};
    cm_machine_options machine = cm_machine_options_default();
    const cm_option_group groups[] = {{option_table, &options},
                                      {cm_machine_option_table, &machine}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 2, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        status = run_info(&options, &machine, error);
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
