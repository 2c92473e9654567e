/* For the memory sanitizer, which sees no write of a library that is not built with it: what the
 * libraries write into our memory counts as written, and so does Jansson's own memory. Linked into
 * each program, with ld's --wrap. */
#include <jansson.h>
#include <png.h>
#include <sanitizer/msan_interface.h>
#include <sha2.h>
#include <stdlib.h>
#include <zlib.h>

void __real_SHA256Final(uint8_t *digest, SHA2_CTX *context);
void __wrap_SHA256Final(uint8_t *digest, SHA2_CTX *context);
int __real_inflate(z_streamp stream, int flush);
int __wrap_inflate(z_streamp stream, int flush);
int __real_deflate(z_streamp stream, int flush);
int __wrap_deflate(z_streamp stream, int flush);
json_t *__real_json_loadb(const char *text, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t size, size_t flags, json_error_t *error);
int __real_png_image_finish_read(png_imagep image, png_const_colorp background, void *buffer,
                                 png_int_32 stride, void *colormap);
int __wrap_png_image_finish_read(png_imagep image, png_const_colorp background, void *buffer,
                                 png_int_32 stride, void *colormap);

/* What is below on the stack, where the library's variables will be: marks of earlier calls of ours
 * are not for them. */
__attribute__((noinline)) static void clean_stack(void) {
    char below[1 << 15];
    __msan_unpoison(below, sizeof below);
}

void __wrap_SHA256Final(uint8_t *digest, SHA2_CTX *context) {
    __real_SHA256Final(digest, context);
    __msan_unpoison(digest, SHA256_DIGEST_LENGTH);
}

int __wrap_inflate(z_streamp stream, int flush) {
    const Bytef *begin = stream->next_out;
    const int result = __real_inflate(stream, flush);
    __msan_unpoison(begin, (size_t)(stream->next_out - begin));
    return result;
}

int __wrap_deflate(z_streamp stream, int flush) {
    const Bytef *begin = stream->next_out;
    const int result = __real_deflate(stream, flush);
    __msan_unpoison(begin, (size_t)(stream->next_out - begin));
    return result;
}

json_t *__wrap_json_loadb(const char *text, size_t size, size_t flags, json_error_t *error) {
    __msan_check_mem_is_initialized(text, size);
    clean_stack();
    json_t *value = __real_json_loadb(text, size, flags, error);
    __msan_unpoison(error, sizeof *error);
    return value;
}

int __wrap_png_image_finish_read(png_imagep image, png_const_colorp background, void *buffer,
                                 png_int_32 stride, void *colormap) {
    const int result = __real_png_image_finish_read(image, background, buffer, stride, colormap);
    if (result != 0) {
        __msan_unpoison(buffer, PNG_IMAGE_SIZE(*image));
    }
    return result;
}

static void *zeroed(size_t size) {
    return calloc(1, size);
}

__attribute__((constructor)) static void start(void) {
    json_set_alloc_funcs(zeroed, free);
}
