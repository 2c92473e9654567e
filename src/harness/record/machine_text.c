#include "harness/record/machine_text.h"

#include <stdarg.h>
#include <string.h>

#include "convmark/status.h"
#include "core/escape.h"

enum { VALUE_SIZE = 512, COMMIT_DIGITS = 7 };

/* Text that grows as far as it has room. */
typedef struct machine_lines {
    char text[VALUE_SIZE];
    size_t length;
} machine_lines;

static void add_text(machine_lines *value, const char *format, ...) CM_PRINTF(2, 3);
static void add_text(machine_lines *value, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const size_t room = sizeof value->text - value->length;
    const int added = vsnprintf(value->text + value->length, room, format, arguments);
    va_end(arguments);
    if (added > 0) {
        value->length += (size_t)added < room ? (size_t)added : room - 1;
    }
}

/* Adds a string of the object after `before`; nothing if there is none. */
static void add_member(machine_lines *value, const char *before, const json_t *object,
                       const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    if (text != NULL) {
        add_text(value, "%s%s", value->length > 0 ? before : "", text);
    }
}

static void add_cores(machine_lines *value, const json_t *cpu) {
    const json_int_t usable = json_integer_value(json_object_get(cpu, "usable_cores"));
    add_text(value, "%" JSON_INTEGER_FORMAT " core%s", usable, usable == 1 ? "" : "s");
}

static void put_cpu(machine_lines *value, const json_t *machine) {
    add_member(value, "", json_object_get(machine, "cpu"), "model");
}

static void put_cores(machine_lines *value, const json_t *machine) {
    const json_t *cpu = json_object_get(machine, "cpu");
    if (cpu != NULL) {
        add_cores(value, cpu);
        add_text(value, " usable of %" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(cpu, "cores")));
    }
}

static void put_isas(machine_lines *value, const json_t *machine) {
    const json_t *isas = json_object_get(json_object_get(machine, "cpu"), "isas");
    for (size_t i = 0; i < json_array_size(isas); ++i) {
        add_text(value, "%s%s", i > 0 ? ", " : "", json_string_value(json_array_get(isas, i)));
    }
}

static void put_caches(machine_lines *value, const json_t *machine) {
    const json_t *caches = json_object_get(json_object_get(machine, "cpu"), "caches");
    for (size_t i = 0; i < json_array_size(caches); ++i) {
        const json_t *cache = json_array_get(caches, i);
        add_text(value,
                 "%sL%" JSON_INTEGER_FORMAT " %s %" JSON_INTEGER_FORMAT " x %" JSON_INTEGER_FORMAT
                 " KiB",
                 i > 0 ? ", " : "", json_integer_value(json_object_get(cache, "level")),
                 json_string_value(json_object_get(cache, "kind")),
                 json_integer_value(json_object_get(cache, "count")),
                 json_integer_value(json_object_get(cache, "bytes")) / 1024);
    }
}

static void put_memory(machine_lines *value, const json_t *machine) {
    const json_t *bytes = json_object_get(machine, "memory_bytes");
    if (json_is_number(bytes)) {
        add_text(value, "%.1f GiB", json_number_value(bytes) / (1024.0 * 1024 * 1024));
    }
}

static void put_system(machine_lines *value, const json_t *machine) {
    add_member(value, "", machine, "os");
    add_member(value, ", ", machine, "kernel");
    add_member(value, ", ", machine, "architecture");
}

/* "commit 13b26c9", with "-dirty" where the tree had changes. */
static void add_commit(machine_lines *value, const char *before, const json_t *machine) {
    const json_t *commit = json_object_get(json_object_get(machine, "build"), "commit");
    const char *text = json_string_value(commit);
    if (text != NULL) {
        const char *dirty = strstr(text, "-dirty");
        add_text(value, "%scommit %.*s%s", before, COMMIT_DIGITS, text,
                 dirty != NULL ? "-dirty" : "");
    }
}

static void put_build(machine_lines *value, const json_t *machine) {
    const json_t *build = json_object_get(machine, "build");
    add_member(value, "", build, "version");
    add_commit(value, ", ", machine);
    add_member(value, ", ", build, "compiler");
    add_member(value, ", ", build, "type");
}

static const struct {
    const char *title;
    void (*put)(machine_lines *value, const json_t *machine);
} facts[] = {{"CPU", put_cpu},       {"cores", put_cores},   {"instruction sets", put_isas},
             {"caches", put_caches}, {"memory", put_memory}, {"system", put_system},
             {"build", put_build}};

void cm_machine_print_table(FILE *out, const json_t *machine) {
    fputs("| | |\n|---|---|\n", out);
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; ++i) {
        machine_lines value = {.length = 0};
        facts[i].put(&value, machine);
        if (value.length > 0) {
            fprintf(out, "| %s | ", facts[i].title);
            cm_print_escaped(out, CM_SINK_MARKDOWN, value.text);
            fputs(" |\n", out);
        }
    }
}

void cm_machine_print_title(FILE *out, const char *title, const json_t *machine,
                            const json_t *started) {
    machine_lines line = {.length = 0};
    put_cpu(&line, machine);
    if (line.length > 0) {
        add_text(&line, ", ");
        add_cores(&line, json_object_get(machine, "cpu"));
    }
    if (json_is_string(started)) {
        add_text(&line, "%s%.10s", line.length > 0 ? "; " : "", json_string_value(started));
    }
    add_commit(&line, line.length > 0 ? "; " : "", machine);
    fprintf(out, "# %s\n\n", title);
    if (line.length > 0) {
        cm_print_escaped(out, CM_SINK_MARKDOWN, line.text);
        fputs("\n\n", out);
    }
}
