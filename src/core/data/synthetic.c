#include "core/data/synthetic.h"

#include "convmark/philox.h"

/* A class's pattern is a grid of random values, one every 8 pixels, interpolated; it is wider than
 * an image by the room to move in. */
enum {
    REACH = 3,
    GRID_STEP = 8,
    THRESHOLD = 112,
    PATTERN_INDEX = 0,   /* random index of the patterns; the parts have theirs */
    CHANNEL_STRIDE = 256 /* from a channel's random step to the next one's: classes in between */
};

/** Sizes that follow from a shape. */
typedef struct sizes {
    size_t row;     /* values of an image's row: all channels of a pixel follow one another */
    size_t image;   /* values of an image */
    size_t noise;   /* the same, in whole Philox blocks of 16 bytes */
    size_t width;   /* of a pattern, in pixels */
    size_t pattern; /* values of one */
    size_t columns; /* of a pattern's grid */
    size_t grid;    /* values of it */
} sizes;

static sizes sizes_of(const cm_dataset_shape *shape) {
    const size_t channels = (size_t)shape->channels;
    const size_t image = (size_t)shape->height * (size_t)shape->width * channels;
    const size_t width = (size_t)shape->width + 2 * REACH;
    const size_t height = (size_t)shape->height + 2 * REACH;
    const size_t columns = (width - 1) / GRID_STEP + 2;
    return (sizes){.row = (size_t)shape->width * channels,
                   .image = image,
                   .noise = (image + 15) / 16 * 16,
                   .width = width,
                   .pattern = height * width * channels,
                   .columns = columns,
                   .grid = ((height - 1) / GRID_STEP + 2) * columns};
}

size_t cm_synthetic_workspace(const cm_dataset_shape *shape) {
    const sizes size = sizes_of(shape);
    size_t bytes = 0;
    return __builtin_mul_overflow(size.pattern, (size_t)shape->classes, &bytes) ||
                   __builtin_add_overflow(bytes, size.noise + size.grid, &bytes)
               ? SIZE_MAX
               : bytes;
}

/** The value at a pixel of the pattern, by bilinear interpolation of the grid. */
static int interpolate(const uint8_t *grid, size_t columns, size_t y, size_t x) {
    const uint8_t *corner = grid + y / GRID_STEP * columns + x / GRID_STEP;
    const int down = (int)(y % GRID_STEP), right = (int)(x % GRID_STEP);
    const int upper = corner[0] * (GRID_STEP - right) + corner[1] * right;
    const int lower = corner[columns] * (GRID_STEP - right) + corner[columns + 1] * right;
    return (upper * (GRID_STEP - down) + lower * down) / (GRID_STEP * GRID_STEP);
}

/** A class's pattern; what is below the threshold becomes background, 0. */
static void draw_pattern(const cm_dataset_shape *shape, uint32_t class, uint8_t *grid,
                         uint8_t *pattern) {
    const sizes size = sizes_of(shape);
    const uint32_t channels = (uint32_t)shape->channels;
    for (uint32_t channel = 0; channel < channels; ++channel) {
        const cm_random_key key = {.purpose = CM_RANDOM_SYNTHETIC,
                                   .index = PATTERN_INDEX,
                                   .step = class + CHANNEL_STRIDE * channel};
        for (size_t i = 0; i < size.grid; ++i) {
            grid[i] = (uint8_t)(cm_random_u32(&key, (uint32_t)i) >> 24);
        }
        for (size_t i = 0; i * channels < size.pattern; ++i) {
            const int value = interpolate(grid, size.columns, i / size.width, i % size.width);
            const int bright = value < THRESHOLD ? 0 : (value - THRESHOLD) * 4;
            pattern[i * channels + channel] = (uint8_t)(bright > 255 ? 255 : bright);
        }
    }
}

/** What an image is made of, drawn from one Philox block. */
typedef struct recipe {
    uint32_t class, other;        /* patterns: its own, and the one laid over it */
    int y, x, other_y, other_x;   /* where in the patterns the image begins */
    int contrast, other_contrast; /* in 1/256 */
} recipe;

/** `block`: the one after those of the noise. */
static recipe draw_recipe(const cm_random_key *key, uint32_t block, uint32_t classes) {
    uint32_t words[4];
    cm_philox4x32(key, block, words);
    const uint32_t class = words[0] % classes;
    const uint32_t moves = words[2];
    const uint32_t range = 2 * REACH + 1;
    const uint32_t others = classes > 1 ? classes - 1 : 1;
    return (recipe){
        .class = class,
        .other = (class + 1 + words[1] % others) % classes,
        .y = (int)(moves % range),
        .x = (int)(moves / range % range),
        .other_y = (int)(moves / (range * range) % range),
        .other_x = (int)(moves / (range * range * range) % range),
        .contrast = 96 + (int)(words[3] & 0x7F),
        .other_contrast = 32 + (int)(words[3] >> 8 & 0x3F),
    };
}

static void draw_noise(const cm_random_key *key, uint32_t blocks, uint8_t *noise) {
    for (uint32_t block = 0; block < blocks; ++block) {
        uint32_t words[4];
        cm_philox4x32(key, block, words);
        for (int i = 0; i < 16; ++i) {
            noise[(size_t)block * 16 + (size_t)i] = (uint8_t)(words[i / 4] >> (8 * (i % 4)));
        }
    }
}

/** Where a pattern's row begins, for an image that begins at (y, x) of the pattern. */
static const uint8_t *pattern_row(const sizes *size, const uint8_t *pattern, size_t channels, int y,
                                  int x) {
    return pattern + ((size_t)y * size->width + (size_t)x) * channels;
}

static void draw_row(const recipe *made_of, const uint8_t *own, const uint8_t *other,
                     const uint8_t *noise, size_t count, uint8_t *pixels) {
    const int contrast = made_of->contrast, other_contrast = made_of->other_contrast;
    for (size_t i = 0; i < count; ++i) {
        const int value =
            (own[i] * contrast + other[i] * other_contrast + (noise[i] - 128) * 96) / 256;
        pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

void cm_synthetic_draw(const cm_dataset_shape *shape, cm_synthetic_part part, int count,
                       uint8_t *workspace, uint8_t *pixels, uint8_t *labels) {
    const sizes size = sizes_of(shape);
    const size_t channels = (size_t)shape->channels;
    const uint32_t classes = (uint32_t)shape->classes, blocks = (uint32_t)(size.noise / 16);
    uint8_t *const noise = workspace + classes * size.pattern, *const grid = noise + size.noise;
    for (uint32_t class = 0; class < classes; ++class) {
        draw_pattern(shape, class, grid, workspace + class * size.pattern);
    }
    for (int i = 0; i < count; ++i) {
        const cm_random_key key = {
            .purpose = CM_RANDOM_SYNTHETIC, .index = (uint32_t)part, .step = (uint32_t)i};
        const recipe made_of = draw_recipe(&key, blocks, classes);
        const uint8_t *own = workspace + made_of.class * size.pattern;
        const uint8_t *other = workspace + made_of.other * size.pattern;
        uint8_t *image = pixels + (size_t)i * size.image;
        labels[i] = (uint8_t)made_of.class;
        draw_noise(&key, blocks, noise);
        for (int y = 0; y < shape->height; ++y) {
            const size_t row = (size_t)y * size.row;
            draw_row(&made_of, pattern_row(&size, own, channels, made_of.y + y, made_of.x),
                     pattern_row(&size, other, channels, made_of.other_y + y, made_of.other_x),
                     noise + row, size.row, image + row);
        }
    }
}

void cm_synthetic_images(cm_synthetic_part part, int count, uint8_t *pixels, uint8_t *labels) {
    enum {
        SIDE = CM_SYNTHETIC_SIDE,
        PATTERN_SIDE = SIDE + 2 * REACH,
        GRID_SIDE = (PATTERN_SIDE - 1) / GRID_STEP + 2,
        PATTERNS = CM_SYNTHETIC_CLASSES * PATTERN_SIDE * PATTERN_SIDE
    };
    _Static_assert(SIDE * SIDE % 16 == 0, "the noise of an image is whole blocks");
    uint8_t workspace[PATTERNS + SIDE * SIDE + GRID_SIDE * GRID_SIDE];
    const cm_dataset_shape shape = {1, SIDE, SIDE, CM_SYNTHETIC_CLASSES};
    cm_synthetic_draw(&shape, part, count, workspace, pixels, labels);
}

int cm_synthetic_count(const cm_dataset_shape *shape, cm_synthetic_part part) {
    enum { FEW = 1024, MIB = 1 << 20, MOST = 256 * MIB };
    const size_t image = sizes_of(shape).image;
    const bool training = part == CM_SYNTHETIC_TRAIN;
    size_t count = (size_t)(training ? 64 : 16) * MIB / image;
    count = count < FEW ? FEW : count;
    count = count > MOST / image ? MOST / image : count;
    const size_t all = training ? 60000 : 10000;
    count = count > all ? all : count;
    return count < 1 ? 1 : (int)count;
}
