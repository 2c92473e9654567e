#include "core/data/synthetic.h"

#include <stddef.h>

#include "convmark/philox.h"

/* A class's pattern is a 6 x 6 grid of random values, one every 8 pixels, interpolated; it is wider
 * than an image by the room to move in. */
enum {
    SIDE = CM_SYNTHETIC_SIDE,
    REACH = 3,
    PATTERN_SIDE = SIDE + 2 * REACH,
    GRID_STEP = 8,
    GRID_SIDE = 6,
    THRESHOLD = 112,
    PATTERN_INDEX = 0, /* random index of the patterns; the parts have theirs */
    NOISE_BLOCKS = SIDE * SIDE / 16
};

typedef uint8_t pattern[PATTERN_SIDE][PATTERN_SIDE];

/** Bilinear interpolation of the grid; what is below the threshold becomes background, 0. */
static void draw_pattern(uint32_t class, pattern out) {
    const cm_random_key key = {
        .purpose = CM_RANDOM_SYNTHETIC, .index = PATTERN_INDEX, .step = class};
    int grid[GRID_SIDE][GRID_SIDE];
    for (uint32_t i = 0; i < GRID_SIDE * GRID_SIDE; ++i) {
        grid[i / GRID_SIDE][i % GRID_SIDE] = (int)(cm_random_u32(&key, i) >> 24);
    }
    for (int y = 0; y < PATTERN_SIDE; ++y) {
        for (int x = 0; x < PATTERN_SIDE; ++x) {
            const int row = y / GRID_STEP, column = x / GRID_STEP;
            const int down = y % GRID_STEP, right = x % GRID_STEP;
            const int upper =
                grid[row][column] * (GRID_STEP - right) + grid[row][column + 1] * right;
            const int lower =
                grid[row + 1][column] * (GRID_STEP - right) + grid[row + 1][column + 1] * right;
            const int value = (upper * (GRID_STEP - down) + lower * down) / (GRID_STEP * GRID_STEP);
            const int bright = value < THRESHOLD ? 0 : (value - THRESHOLD) * 4;
            out[y][x] = (uint8_t)(bright > 255 ? 255 : bright);
        }
    }
}

/** What an image is made of, drawn from one Philox block. */
typedef struct recipe {
    uint32_t class, other;        /* patterns: its own, and the one laid over it */
    int y, x, other_y, other_x;   /* where in the patterns the image begins */
    int contrast, other_contrast; /* in 1/256 */
} recipe;

static recipe draw_recipe(const cm_random_key *key) {
    uint32_t words[4];
    cm_philox4x32(key, NOISE_BLOCKS, words);
    const uint32_t class = words[0] % CM_SYNTHETIC_CLASSES;
    const uint32_t moves = words[2];
    const uint32_t range = 2 * REACH + 1;
    return (recipe){
        .class = class,
        .other = (class + 1 + words[1] % (CM_SYNTHETIC_CLASSES - 1)) % CM_SYNTHETIC_CLASSES,
        .y = (int)(moves % range),
        .x = (int)(moves / range % range),
        .other_y = (int)(moves / (range * range) % range),
        .other_x = (int)(moves / (range * range * range) % range),
        .contrast = 96 + (int)(words[3] & 0x7F),
        .other_contrast = 32 + (int)(words[3] >> 8 & 0x3F),
    };
}

static void draw_noise(const cm_random_key *key, uint8_t noise[SIDE * SIDE]) {
    for (uint32_t block = 0; block < NOISE_BLOCKS; ++block) {
        uint32_t words[4];
        cm_philox4x32(key, block, words);
        for (int i = 0; i < 16; ++i) {
            noise[block * 16 + (uint32_t)i] = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
        }
    }
}

static void draw_image(const cm_random_key *key, const recipe *made_of,
                       const pattern patterns[CM_SYNTHETIC_CLASSES], uint8_t *pixels) {
    uint8_t noise[SIDE * SIDE];
    draw_noise(key, noise);
    for (int y = 0; y < SIDE; ++y) {
        const uint8_t *own = &patterns[made_of->class][made_of->y + y][made_of->x];
        const uint8_t *other = &patterns[made_of->other][made_of->other_y + y][made_of->other_x];
        for (int x = 0; x < SIDE; ++x) {
            const int value = (own[x] * made_of->contrast + other[x] * made_of->other_contrast +
                               (noise[y * SIDE + x] - 128) * 96) /
                              256;
            pixels[y * SIDE + x] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

void cm_synthetic_images(cm_synthetic_part part, int count, uint8_t *pixels, uint8_t *labels) {
    pattern patterns[CM_SYNTHETIC_CLASSES];
    for (uint32_t class = 0; class < CM_SYNTHETIC_CLASSES; ++class) {
        draw_pattern(class, patterns[class]);
    }
    for (int i = 0; i < count; ++i) {
        const cm_random_key key = {
            .purpose = CM_RANDOM_SYNTHETIC, .index = (uint32_t)part, .step = (uint32_t)i};
        const recipe made_of = draw_recipe(&key);
        labels[i] = (uint8_t)made_of.class;
        draw_image(&key, &made_of, (const pattern *)patterns, pixels + (size_t)i * SIDE * SIDE);
    }
}
