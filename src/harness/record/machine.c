#include "harness/record/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build_info.h"
#include "convmark/convmark.h"
#include "core/files/json.h"

static const char CPU_FOLDER[] = "/sys/devices/system/cpu";

/* The first line of a small file of the system without its newline; null when it cannot be read. */
static json_t *line_of(const char *folder, const char *name) {
    char path[256], line[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return json_null();
    }
    const char *read = fgets(line, sizeof line, file);
    fclose(file);
    if (read == NULL) {
        return json_null();
    }
    line[strcspn(line, "\n")] = '\0';
    return cm_json_string(line);
}

/* The same, as a number. */
static json_t *number_of(const char *folder, const char *name) {
    json_t *text = line_of(folder, name);
    if (!json_is_string(text)) {
        return text;
    }
    json_t *number = json_integer(strtoll(json_string_value(text), NULL, 10));
    json_decref(text);
    return number;
}

/* Intel's driver reports whether turbo is off, the others whether boost is on. */
static json_t *turbo_json(void) {
    static const struct {
        const char *name;
        const char *on;
    } files[] = {{"intel_pstate/no_turbo", "0"}, {"cpufreq/boost", "1"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        json_t *text = line_of(CPU_FOLDER, files[i].name);
        if (json_is_string(text)) {
            json_t *value = json_boolean(strcmp(json_string_value(text), files[i].on) == 0);
            json_decref(text);
            return value;
        }
        json_decref(text);
    }
    return json_null();
}

static json_t *frequency_json(cm_error *error) {
    json_t *o = json_object();
    if (cm_json_set(o, "governor", line_of(CPU_FOLDER, "cpu0/cpufreq/scaling_governor"), error) &&
        cm_json_set(o, "driver", line_of(CPU_FOLDER, "cpu0/cpufreq/scaling_driver"), error) &&
        cm_json_set(o, "min_khz", number_of(CPU_FOLDER, "cpu0/cpufreq/scaling_min_freq"), error) &&
        cm_json_set(o, "max_khz", number_of(CPU_FOLDER, "cpu0/cpufreq/scaling_max_freq"), error) &&
        cm_json_set(o, "turbo", turbo_json(), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

/* PRETTY_NAME of os-release(5): "Debian GNU/Linux 12 (bookworm)". */
static json_t *os_name(void) {
    static const char *const paths[] = {"/etc/os-release", "/usr/lib/os-release"};
    static const char key[] = "PRETTY_NAME=";
    char line[512];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; ++i) {
        FILE *file = fopen(paths[i], "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            if (strncmp(line, key, sizeof key - 1) == 0) {
                fclose(file);
                char *value = line + sizeof key - 1;
                value += *value == '"' ? 1 : 0;
                value[strcspn(value, "\"\n")] = '\0';
                return cm_json_string(value);
            }
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return json_null();
}

static json_t *physical_memory_bytes(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? json_integer((json_int_t)pages * page) : json_null();
}

static json_t *isa_list(void) {
    json_t *list = json_array();
    for (int isa = 0; isa < CM_ISA_COUNT; ++isa) {
        if (cm_kernels_of((cm_isa)isa) != NULL) {
            cm_json_append(&list, json_string(cm_isa_name((cm_isa)isa)));
        }
    }
    return list;
}

static json_t *caches_json(const cm_topology *topology) {
    static const struct {
        char kind;
        const char *name;
    } kinds[] = {{'d', "data"}, {'i', "instruction"}, {'u', "unified"}};
    json_t *list = json_array();
    for (int i = 0; i < topology->cache_count; ++i) {
        const cm_cache *cache = &topology->caches[i];
        const char *kind = "unified";
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k) {
            kind = kinds[k].kind == cache->kind ? kinds[k].name : kind;
        }
        cm_json_append(&list, json_pack("{s:i, s:s, s:I, s:i, s:i}", "level", cache->level, "kind",
                                        kind, "bytes", (json_int_t)cache->size, "line_bytes",
                                        cache->line, "count", cache->count));
    }
    return list;
}

/* Kinds of usable cores, fastest first. */
static json_t *kinds_json(const cm_topology *topology) {
    json_t *list = json_array();
    for (int i = 0; i < topology->kind_count; ++i) {
        const cm_core_kind *kind = &topology->kinds[i];
        cm_json_append(&list, json_pack("{s:o, s:i}", "name", cm_json_string(kind->name),
                                        "usable_cores", kind->usable_cores));
    }
    return list;
}

static json_t *cpu_json(const cm_topology *topology, cm_error *error) {
    json_t *o = json_object();
    json_t *quota = topology->cpu_quota > 0 ? json_real(topology->cpu_quota) : json_null();
    if (cm_json_set(o, "model", cm_json_string(topology->cpu_model), error) &&
        cm_json_set(o, "packages", json_integer(topology->packages), error) &&
        cm_json_set(o, "numa_nodes", json_integer(topology->numa_nodes), error) &&
        cm_json_set(o, "cores", json_integer(topology->cores), error) &&
        cm_json_set(o, "pus", json_integer(topology->pus), error) &&
        cm_json_set(o, "usable_cores", json_integer(topology->usable_cores), error) &&
        cm_json_set(o, "usable_pus", json_integer(topology->usable_pus), error) &&
        cm_json_set(o, "quota", json_incref(quota), error) &&
        cm_json_set(o, "default_threads", json_integer(topology->default_threads), error) &&
        cm_json_set(o, "kinds", kinds_json(topology), error) &&
        (topology->foreign[0] == '\0' ||
         cm_json_set(o, "described_by", cm_json_string(topology->foreign), error)) &&
        cm_json_set(o, "isas", isa_list(), error) &&
        cm_json_set(o, "caches", caches_json(topology), error) &&
        cm_json_set(o, "frequency", frequency_json(error), error)) {
        json_decref(quota);
        return o;
    }
    json_decref(quota);
    json_decref(o);
    return NULL;
}

static json_t *build_json(const cm_topology *topology, cm_error *error) {
    json_t *o = json_object();
    if (cm_json_set(o, "version", json_string(CM_VERSION), error) &&
        cm_json_set(o, "numeric_contract", json_integer(CM_NUMERIC_CONTRACT), error) &&
        cm_json_set(o, "commit", json_string(CM_BUILD_COMMIT), error) &&
        cm_json_set(o, "compiler", cm_json_string(CM_BUILD_COMPILER), error) &&
        cm_json_set(o, "flags", cm_json_string(CM_BUILD_FLAGS), error) &&
        cm_json_set(o, "type", cm_json_string(CM_BUILD_TYPE), error) &&
        cm_json_set(o, "hwloc", json_string(topology->hwloc_version), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

static json_t *machine_json(const cm_topology *topology, cm_error *error) {
    struct utsname system;
    const int known = uname(&system);
    json_t *o = json_object();
    if (cm_json_set(o, "cpu", cpu_json(topology, error), error) &&
        cm_json_set(o, "memory_bytes", physical_memory_bytes(), error) &&
        cm_json_set(o, "memory_limit_bytes",
                    topology->memory_limit > 0 ? json_integer((json_int_t)topology->memory_limit)
                                               : json_null(),
                    error) &&
        cm_json_set(o, "os", os_name(), error) &&
        cm_json_set(o, "kernel", cm_json_string(known == 0 ? system.release : NULL), error) &&
        cm_json_set(o, "architecture", cm_json_string(known == 0 ? system.machine : NULL), error) &&
        cm_json_set(o, "build", build_json(topology, error), error)) {
        return o;
    }
    json_decref(o);
    return NULL;
}

cm_status cm_machine_json(const cm_topology *topology, json_t **machine, cm_error *error) {
    *machine = NULL;
    cm_topology *own = NULL;
    if (topology == NULL) {
        const cm_status status = cm_topology_load(&own, error);
        if (status != CM_OK) {
            return status;
        }
        topology = own;
    }
    *machine = machine_json(topology, error);
    cm_topology_free(own);
    return *machine != NULL ? CM_OK : CM_FAILED;
}
