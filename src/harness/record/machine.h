/**
 * The object "machine" of the results schema (docs/reference/results-schema.md): the machine and
 * the build that a measurement was made with.
 */
#ifndef CM_HARNESS_RECORD_MACHINE_H
#define CM_HARNESS_RECORD_MACHINE_H

#include <jansson.h>

#include "convmark/status.h"
#include "core/system/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Describes this machine and build. `topology` may be NULL: it is then read here. What the system
 * does not report is null in the object, not an error. json_decref() the result. */
cm_status cm_machine_json(const cm_topology *topology, json_t **machine, cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
