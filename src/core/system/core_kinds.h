/**
 * Kinds of cores of a hybrid CPU, as hwloc distinguishes them.
 */
#ifndef CM_CORE_SYSTEM_CORE_KINDS_H
#define CM_CORE_SYSTEM_CORE_KINDS_H

#include <stdbool.h>

#include "core/system/topology.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Fills kinds, kind_count and pu_kind of a topology whose pu_order has the machine's order, and
 * sorts pu_order: first PUs of cores before second ones, fastest kinds first. False: no memory. */
bool cm_core_kinds_read(cm_topology *topology);

#ifdef __cplusplus
}
#endif

#endif
