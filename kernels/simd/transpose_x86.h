/* to[c][r] = from[r][c] of 8x8 floats with AVX: AVX-512 has no faster way for blocks in memory. */
#ifndef CM_KERNELS_SIMD_TRANSPOSE_X86_H
#define CM_KERNELS_SIMD_TRANSPOSE_X86_H

#include <immintrin.h>
#include <stddef.h>

static inline void vb_transpose(const float *from, ptrdiff_t from_step, float *to,
                                ptrdiff_t to_step) {
    __m256 half[8], pair[8];
    for (int i = 0; i < 4; ++i) { /* rows i, i + 4 side by side: of columns 0 to 3, of 4 to 7 */
        const float *low = from + i * from_step, *high = from + (i + 4) * from_step;
        half[i] =
            _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
        half[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low + 4)),
                                           _mm_loadu_ps(high + 4), 1);
    }
    for (int side = 0; side < 8; side += 4) { /* then 4x4 blocks in each half */
        for (int i = 0; i < 4; i += 2) {
            pair[side + i] = _mm256_unpacklo_ps(half[side + i], half[side + i + 1]);
            pair[side + i + 1] = _mm256_unpackhi_ps(half[side + i], half[side + i + 1]);
        }
        for (int i = 0; i < 2; ++i) {
            const __m256 a = pair[side + i], b = pair[side + i + 2];
            float *row = to + (side + 2 * i) * to_step;
            _mm256_storeu_ps(row, _mm256_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0)));
            _mm256_storeu_ps(row + to_step, _mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2)));
        }
    }
}

#endif
