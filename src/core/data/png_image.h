/**
 * PNG files as input for a network: any PNG picture as grey or RGB bytes of a given size.
 */
#ifndef CM_CORE_DATA_PNG_IMAGE_H
#define CM_CORE_DATA_PNG_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convmark/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CM_PNG_MAX_FILE_BYTES = 1 << 26,
    CM_PNG_MAX_SIDE = 1 << 14, /* of the picture in the file */
    CM_PNG_MAX_PIXELS = 1 << 26
};

/**
 * Reads a PNG picture of any colour type and depth into `pixels` [height][width], 0 black to 255
 * white. Colour becomes luminance. A picture of another size is scaled by area averaging, its
 * proportions not kept. `invert`: for dark pictures on light ground, 255 - pixel; nothing is
 * guessed. What is transparent becomes ground: 0 in the result, with and without invert.
 *
 * CM_BAD_INPUT when `path` is missing, not a regular file, not a PNG file (which kind it is and
 * what to do is said), cut off, damaged (chunk CRCs are checked) or beyond the limits above; bytes
 * after the end of the picture are passed over, as other programs do. CM_USAGE when height or width
 * is not in 1 .. CM_PNG_MAX_SIDE; CM_FAILED without memory. `pixels` is written on success only.
 */
cm_status cm_png_read(const char *path, int height, int width, bool invert, uint8_t *pixels,
                      cm_error *error);

/** What the network takes. */
typedef struct cm_png_format {
    int channels; /* 1: grey; 3: RGB */
    int height, width;
    bool invert;
} cm_png_format;

/** cm_png_read() into [height][width][channels]; *size, if not NULL, is that of the picture in the
 * file: height, width. */
cm_status cm_png_read_as(const char *path, const cm_png_format *format, uint8_t *pixels,
                         int size[2], cm_error *error);

/** Why a picture that was read so is unlikely to be what its user means: nothing in it, or a light
 * ground where the pictures of data sets are light on dark. */
typedef enum cm_picture_doubt {
    CM_PICTURE_GOOD,
    CM_PICTURE_EMPTY, /* all pixels nearly the same */
    CM_PICTURE_LIGHT_GROUND
} cm_picture_doubt;

cm_picture_doubt cm_picture_judge(const cm_png_format *format, const uint8_t *pixels);

#ifdef __cplusplus
}
#endif

#endif
