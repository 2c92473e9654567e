/**
 * PNG files as input for a network: any PNG picture as grey bytes of a given size.
 */
#ifndef CM_CORE_DATA_PNG_IMAGE_H
#define CM_CORE_DATA_PNG_IMAGE_H

#include <stdbool.h>
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
 * CM_BAD_INPUT when `path` is missing, not a regular file, not a PNG file, cut off, damaged (chunk
 * CRCs are checked), followed by other bytes or beyond the limits above; CM_USAGE when height or
 * width is not in 1 .. CM_PNG_MAX_SIDE; CM_FAILED without memory. `pixels` is written on success
 * only.
 */
cm_status cm_png_read(const char *path, int height, int width, bool invert, uint8_t *pixels,
                      cm_error *error);

#ifdef __cplusplus
}
#endif

#endif
