#include "kernels/isa.h"

#include "kernels/conv2d/transform/products.h"

#include "kernels/sizes.h"

/* The terms of a tile whose depth is the channels of one patch: one per strip. */
static int plane_terms(ptrdiff_t count, int channels, cm_gemm_term *term) {
    const ptrdiff_t strip = cm_strip_of(channels);
    const int terms = (int)(channels / strip);
    for (int t = 0; t < terms; ++t) {
        term[t] = (cm_gemm_term){t * count * strip, t * strip * CM_TILE_COLUMNS};
    }
    return terms;
}

/* The multiplications of one frequency and one panel, over `count` patches. */
static void multiply(const cm_frequency *frequency, const cm_filter_side *side, ptrdiff_t count,
                     const cm_product_planes *planes, int panel, const float *filters,
                     cm_plane_prefetch *ahead) {
    const ptrdiff_t left_plane = planes->left_plane;
    const ptrdiff_t strip = cm_strip_of(side->depth), row = cm_strip_of(side->columns);
    const int first = panel * CM_TILE_COLUMNS;
    const int rest = side->columns - first;
    const bool strips = cm_in_strips(side->depth);
    const float *a = planes->left + frequency->plane * left_plane;
    float *re = planes->results + frequency->result * planes->result_plane +
                cm_plane_at(count, side->columns, 0, first);
    float *im = re + planes->result_plane;
    cm_gemm_term term[CM_MAX_STRIPS];
    const int terms = plane_terms(count, side->depth, term);
    for (ptrdiff_t part = 0; part < cm_even_parts(count, VF_TILE_ROWS); ++part) {
        const cm_range rows = cm_even_part(count, VF_TILE_ROWS, part);
        const int height = (int)(rows.end - rows.begin);
        cm_gemm_tile tile = {
            .a = a + rows.begin * strip,
            .a_row = strip,
            .a_depth = 1,
            .b = filters,
            .b_depth = CM_TILE_COLUMNS,
            .term = term,
            .terms = terms,
            .depth = (int)strip,
            .c = re + rows.begin * row,
            .c_row = row,
            .columns = rest < CM_TILE_COLUMNS ? rest : CM_TILE_COLUMNS,
            .base = re + rows.begin * row,
            .base_row = row,
            .mode = CM_GEMM_STORE,
        };
        tile.next_a_step = CM_LINE_FLOATS; /* a tile's rows of a plane are contiguous */
        tile.next_b = filters;             /* in the L1 or L2 cache */
        tile.next_a = strips               ? NULL
                      : frequency->complex ? tile.a + left_plane
                                           : tile.a + height * strip;
        cm_prefetch_lines(ahead);
        cm_gemm_micro_kernel(height, &tile); /* k1 */
        if (!frequency->complex) {
            continue;
        }
        tile.a += left_plane;
        tile.next_a = strips ? NULL : tile.a + left_plane;
        tile.b += cm_filter_stride(side);
        tile.c = im + rows.begin * row;
        tile.mode = side->transposed ? CM_GEMM_SUBTRACT : CM_GEMM_ADD;
        cm_prefetch_lines(ahead);
        cm_gemm_micro_kernel(height, &tile); /* im = k1 +- k2 */
        tile.a += left_plane;
        tile.b += cm_filter_stride(side);
        tile.c = re + rows.begin * row;
        tile.next_a = strips ? NULL : a + rows.end * strip;
        tile.mode = side->transposed ? CM_GEMM_ADD : CM_GEMM_SUBTRACT;
        cm_prefetch_lines(ahead);
        cm_gemm_micro_kernel(height, &tile); /* re = k1 -+ k3 */
    }
}

/* The frequency with this plane; `near` is one that may be before it, or -1. */
static int frequency_at(const cm_domain *domain, int frequencies, int plane, int near) {
    int f = near >= 0 && domain->frequency[near].plane <= plane ? near : 0;
    while (f + 1 < frequencies && domain->frequency[f + 1].plane <= plane) {
        ++f;
    }
    return f;
}

/* The items (frequency, panel), in order, are dealt out by their cost. */
void cm_multiply_planes(const cm_team *team, const cm_transform_job *job, cm_range block,
                        const cm_filter_side *side, const float *halves,
                        const cm_product_planes *planes) {
    const cm_domain *domain = job->domain;
    const ptrdiff_t panels = cm_filter_panels(side->columns);
    const ptrdiff_t stride = cm_filter_stride(side);
    const ptrdiff_t tiles = panels * cm_even_parts(block.end - block.begin, VF_TILE_ROWS);
    float *filters =
        job->workspace + job->plan->filter_planes + (size_t)team->index * job->plan->thread_filters;
    /* A unit is one multiplication; the first one of an item stands for all of it. */
    cm_deal units = cm_team_deal(team, panels * job->sizes->planes);
    cm_plane_prefetch ahead = {.lines = 0};
    int last = -1;
    for (ptrdiff_t unit; (unit = cm_deal_next(&units)) >= 0;) {
        const int f = frequency_at(domain, job->sizes->frequencies, (int)(unit / panels), last);
        const cm_frequency *frequency = &domain->frequency[f];
        const ptrdiff_t place = unit - frequency->plane * panels;
        if (place % cm_frequency_cost(frequency) != 0) {
            continue;
        }
        if (f != last) {
            ahead = cm_prefetch_planes(job, f + 1, planes->left, planes->left_plane, side->depth,
                                       tiles * cm_frequency_cost(frequency));
            last = f;
        }
        const ptrdiff_t panel = place / cm_frequency_cost(frequency);
        domain->filter_planes(frequency, side->transposed,
                              halves + panel * job->sizes->halves * 3 * stride, stride,
                              (ptrdiff_t)side->depth * CM_TILE_COLUMNS, filters);
        multiply(frequency, side, block.end - block.begin, planes, (int)panel, filters, &ahead);
    }
}
