#include "core/files/json_memory.h"

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    ALIGNMENT = 16,
    /* More than any node of Jansson takes. Growing tables may ask for more: Jansson stands their
     * refusal. */
    NODE = 4096
};

typedef struct parser_reserve {
    char *bytes;
    size_t size, used;
    size_t largest; /* what is asked for beyond it is refused */
    bool touched;
} parser_reserve;

static _Thread_local parser_reserve kept;

/* Those before us, of the host program where there is one. */
static json_malloc_t next_malloc;
static json_free_t next_free;

static bool is_reserved(const void *memory) {
    const uintptr_t at = (uintptr_t)memory, begin = (uintptr_t)kept.bytes;
    return kept.bytes != NULL && at >= begin && at - begin < kept.size;
}

static void *remembering_malloc(size_t size) {
    void *memory = next_malloc(size);
    if (memory != NULL || kept.bytes == NULL) {
        return memory;
    }
    kept.touched = true;
    const size_t whole = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size > kept.largest || whole > kept.size - kept.used) {
        return NULL;
    }
    memory = kept.bytes + kept.used;
    kept.used += whole;
    return memory;
}

static void remembering_free(void *memory) {
    if (!is_reserved(memory)) {
        next_free(memory);
    }
}

static void install_json_allocators(void) {
    json_get_alloc_funcs(&next_malloc, &next_free);
    json_set_alloc_funcs(remembering_malloc, remembering_free);
}

bool cm_json_reserve_keep(size_t longest) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, install_json_allocators) != 0) {
        return false;
    }
    /* The token under way doubles its buffer, and becomes a string; each further byte may begin a
     * node, or let a table grow. */
    const size_t largest = 2 * longest + NODE;
    const size_t size = (CM_JSON_FEED + 8) * largest;
    kept = (parser_reserve){.bytes = malloc(size), .size = size, .largest = largest};
    return kept.bytes != NULL;
}

bool cm_json_reserve_touched(void) {
    return kept.touched;
}

void cm_json_reserve_release(void) {
    free(kept.bytes);
    kept = (parser_reserve){.bytes = NULL};
}
