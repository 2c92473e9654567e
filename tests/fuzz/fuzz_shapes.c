/*
 * Any bytes as a list of shapes: each shape that is read, written as a line, reads as the same and
 * is found to be there already; what is refused adds nothing, and is one line with the file's name.
 */
#include <stdbool.h>

#include "bench/shapes.h"
#include "fuzz.h"

enum { LINE_SIZE = 128 };

/* What the kernels rely on: whole, positive sizes whose product is no larger than an int. */
static void check_shape(const bench_shape *shape) {
    const cm_conv2d_shape *conv = &shape->conv;
    const cm_max_pool2d_shape *pool = &shape->pool;
    const cm_map_shape *map = &shape->map;
    const int64_t in = (int64_t)conv->batch * conv->in_channels * conv->height;
    const int64_t out = (int64_t)conv->batch * conv->out_channels * conv->out_height;
    FUZZ_EXPECT(shape->operation < BENCH_OPERATION_COUNT && shape->batch >= 0);
    FUZZ_EXPECT(in >= 0 && in <= INT32_MAX && in * conv->width <= INT32_MAX);
    FUZZ_EXPECT(out >= 0 && out <= INT32_MAX && out * conv->out_width <= INT32_MAX);
    FUZZ_EXPECT((conv->batch > 0) == (conv->out_height > 0 && conv->out_width > 0));
    FUZZ_EXPECT((pool->batch > 0) == (pool->out_height > 0 && pool->out_width > 0));
    FUZZ_EXPECT(map->batch >= 0 && map->height >= 0 && map->width >= 0 && map->channels >= 0);
    FUZZ_EXPECT(shape->count <= INT32_MAX);
}

static bool same(const bench_shape *a, const bench_shape *b) {
    return a->operation == b->operation && strcmp(a->text, b->text) == 0 && a->batch == b->batch &&
           a->count == b->count && memcmp(&a->conv, &b->conv, sizeof a->conv) == 0 &&
           memcmp(&a->pool, &b->pool, sizeof a->pool) == 0 &&
           memcmp(&a->map, &b->map, sizeof a->map) == 0;
}

static void read_again(const bench_shape *shape, bench_shapes *all) {
    char line[LINE_SIZE];
    bench_shapes one = {0};
    cm_error error = {""};
    const int count = all->count;
    const int size =
        snprintf(line, sizeof line, "%s %s", bench_operation_name(shape->operation), shape->text);
    FUZZ_EXPECT(size > 0 && size < LINE_SIZE);
    FUZZ_EXPECT(bench_shapes_parse(line, (size_t)size, "copy", &one, &error) == CM_OK);
    FUZZ_EXPECT(one.count == 1 && same(&one.items[0], shape));
    FUZZ_EXPECT(bench_shapes_parse(line, (size_t)size, "copy", all, &error) == CM_OK);
    FUZZ_EXPECT(all->count == count);
    bench_shapes_free(&one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bench_shapes shapes = {0};
    cm_error error = {""};
    const cm_status status = bench_shapes_parse((const char *)data, size, "FILE", &shapes, &error);
    if (status != CM_OK) {
        FUZZ_EXPECT(shapes.count == 0);
        fuzz_expect_refused(status, &error, "FILE:");
    }
    FUZZ_EXPECT(status != CM_OK || (shapes.count > 0 && shapes.count <= BENCH_MAX_SHAPES));
    for (int i = 0; i < shapes.count; ++i) {
        check_shape(&shapes.items[i]);
        read_again(&shapes.items[i], &shapes);
    }
    bench_shapes_free(&shapes);
    return 0;
}
