/**
 * The names of the kernels. Each kernel source includes this header and is compiled once per
 * instruction set; the build defines CM_ISA_NAME (scalar, neon, avx2 or avx512). Sources define and
 * call the plain names below, which become those of the instruction set (cm_relu_forward ->
 * cm_relu_forward_avx2): a search for the plain name finds the definition, and no two instruction
 * sets share a symbol. A new kernel adds its line here.
 */
#ifndef CM_KERNELS_ISA_H
#define CM_KERNELS_ISA_H

#include "convmark/kernels.h"

#define CM_PASTE_(op, isa) cm_##op##_##isa
#define CM_PASTE(op, isa) CM_PASTE_(op, isa)
#define CM_FN(op) CM_PASTE(op, CM_ISA_NAME)

/* clang-format off */
/* The kernels of CM_KERNEL_LIST. */
#define cm_conv2d_forward                    CM_FN(conv2d_forward)
#define cm_conv2d_pack                       CM_FN(conv2d_pack)
#define cm_conv2d_inference                  CM_FN(conv2d_inference)
#define cm_conv2d_backward_data              CM_FN(conv2d_backward_data)
#define cm_conv2d_backward                   CM_FN(conv2d_backward)
#define cm_conv2d_backward_weights           CM_FN(conv2d_backward_weights)
#define cm_batch_norm_statistics             CM_FN(batch_norm_statistics)
#define cm_batch_norm_inference              CM_FN(batch_norm_inference)
#define cm_batch_norm_forward                CM_FN(batch_norm_forward)
#define cm_batch_norm_backward               CM_FN(batch_norm_backward)
#define cm_max_pool2d_forward                CM_FN(max_pool2d_forward)
#define cm_max_pool2d_backward               CM_FN(max_pool2d_backward)
#define cm_batch_norm_max_pool2d_backward    CM_FN(batch_norm_max_pool2d_backward)
#define cm_conv2d_batch_norm_statistics      CM_FN(conv2d_batch_norm_statistics)
#define cm_conv2d_max_pool2d_forward         CM_FN(conv2d_max_pool2d_forward)
#define cm_conv2d_max_pool2d_backward        CM_FN(conv2d_max_pool2d_backward)
#define cm_relu_forward                      CM_FN(relu_forward)
#define cm_relu_backward                     CM_FN(relu_backward)
#define cm_dropout                           CM_FN(dropout)
#define cm_softmax_cross_entropy             CM_FN(softmax_cross_entropy)
#define cm_adam                              CM_FN(adam)

/* What kernel sources share with each other. */
#define cm_dft10_domain                      CM_FN(dft10_domain)
#define cm_direct_backward                   CM_FN(direct_backward)
#define cm_direct_backward_weights           CM_FN(direct_backward_weights)
#define cm_direct_backward_weights_images    CM_FN(direct_backward_weights_images)
#define cm_direct_backward_weights_patches   CM_FN(direct_backward_weights_patches)
#define cm_direct_backward_weights_rows      CM_FN(direct_backward_weights_rows)
#define cm_direct_forward                    CM_FN(direct_forward)
#define cm_direct_pack                       CM_FN(direct_pack)
#define cm_direct_pack_backward              CM_FN(direct_pack_backward)
#define cm_direct_pack_forward               CM_FN(direct_pack_forward)
#define cm_direct_run_pass                   CM_FN(direct_run_pass)
#define cm_direct_run_region                 CM_FN(direct_run_region)
#define cm_direct_run_rows                   CM_FN(direct_run_rows)
#define cm_direct_run_tiles                  CM_FN(direct_run_tiles)
#define cm_direct_tile                       CM_FN(direct_tile)
#define cm_direct_transpose_rows             CM_FN(direct_transpose_rows)
#define cm_direct_uses_rows                  CM_FN(direct_uses_rows)
#define cm_fold_real                         CM_FN(fold_real)
#define cm_gemm_micro_kernel                 CM_FN(gemm_micro_kernel)
#define cm_kernel_table                      CM_FN(kernel_table)
#define cm_multiply_planes                   CM_FN(multiply_planes)
#define cm_normalize                         CM_FN(normalize)
#define cm_patches_of                        CM_FN(patches_of)
#define cm_patches_read_image                CM_FN(patches_read_image)
#define cm_prefetch_planes                   CM_FN(prefetch_planes)
#define cm_probe_table                       CM_FN(probe_table)
#define cm_restore_maps                      CM_FN(restore_maps)
#define cm_scatter_gradient                  CM_FN(scatter_gradient)
#define cm_sum_gradients                     CM_FN(sum_gradients)
#define cm_t4_domain                         CM_FN(t4_domain)
#define cm_taps_real                         CM_FN(taps_real)
#define cm_transform_backward                CM_FN(transform_backward)
#define cm_transform_backward_weights        CM_FN(transform_backward_weights)
#define cm_transform_filters                 CM_FN(transform_filters)
#define cm_transform_forward                 CM_FN(transform_forward)
#define cm_transform_maps                    CM_FN(transform_maps)
#define cm_transform_pack                    CM_FN(transform_pack)
#define cm_transform_row_sums                CM_FN(transform_row_sums)
#define cm_transform_store_weights           CM_FN(transform_store_weights)
#define cm_transpose                         CM_FN(transpose)
#define cm_winograd3_domain                  CM_FN(winograd3_domain)
#define cm_winograd4_domain                  CM_FN(winograd4_domain)
/* clang-format on */

#define CM_KERNEL_PROTOTYPE(op) cm_##op##_fn CM_FN(op);
CM_KERNEL_LIST(CM_KERNEL_PROTOTYPE)
#undef CM_KERNEL_PROTOTYPE

#endif
