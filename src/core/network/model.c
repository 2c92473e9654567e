#include "convmark/model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "convmark/philox.h"
#include "core/files/sha256.h"
#include "core/network/step.h"

/* Arenas start on a 2 MiB boundary and ask for huge pages: one 28x28x128 map of a batch of 64 is
 * 6,272 small pages, more than any TLB holds. */
enum { ARENA_ALIGNMENT = 2 << 20 };

typedef struct cm_zeroing {
    float *block;
    size_t bytes;
} cm_zeroing;

/* Each thread touches its share first, so that the memory lies spread over the nodes of those that
 * will work on it. */
static void zero_body(const cm_team *team, void *context) {
    const cm_zeroing *zeroing = context;
    const cm_range share = cm_team_share(team, (ptrdiff_t)(zeroing->bytes / ARENA_ALIGNMENT));
    memset((char *)zeroing->block + share.begin * ARENA_ALIGNMENT, 0,
           (size_t)(share.end - share.begin) * ARENA_ALIGNMENT);
}

static float *allocate_floats(cm_model *model, size_t floats) {
    const size_t bytes =
        (floats * sizeof(float) + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    float *block = aligned_alloc(ARENA_ALIGNMENT, bytes > 0 ? bytes : ARENA_ALIGNMENT);
    if (block != NULL) {
        (void)madvise(block, bytes, MADV_HUGEPAGE); /* advice: small pages work as well */
        cm_zeroing zeroing = {block, bytes};
        cm_team_run(model->threads, zero_body, &zeroing);
        model->memory += bytes;
    }
    return block;
}

static cm_status allocate(cm_model *model, cm_error *error) {
    cm_program *training = &model->training_program, *inference = &model->inference_program;
    const size_t parameters = inference->plan.parameter_floats;
    model->tensors = cm_network_tensors(model->network, &model->tensor_count);
    model->batches_tracked =
        calloc((size_t)model->network->layer_count, sizeof *model->batches_tracked);
    model->parameters = allocate_floats(model, (model->training ? 4 : 1) * parameters);
    model->statistics = allocate_floats(model, inference->plan.statistics_floats);
    model->training_program.arena = allocate_floats(model, training->plan.arena_floats);
    inference->arena = allocate_floats(model, inference->plan.arena_floats);
    if (model->tensors == NULL || model->batches_tracked == NULL || model->parameters == NULL ||
        model->statistics == NULL || training->arena == NULL || inference->arena == NULL) {
        const size_t floats =
            4 * parameters + training->plan.arena_floats + inference->plan.arena_floats;
        return cm_fail(error, CM_FAILED,
                       "out of memory: network %s at batch %d needs %.0f MiB; use a smaller batch",
                       model->network->name, model->batch,
                       (double)floats * sizeof(float) / (1024.0 * 1024.0));
    }
    if (model->training) {
        model->gradients = model->parameters + parameters;
        model->moment1 = model->gradients + parameters;
        model->moment2 = model->moment1 + parameters;
    }
    return CM_OK;
}

static cm_status choose_kernels(cm_isa isa, const cm_kernels **kernels, cm_error *error) {
    *kernels = cm_kernels_of(cm_isa_resolve(isa));
    if (*kernels != NULL) {
        return CM_OK;
    }
    return cm_fail(error, CM_USAGE, "instruction set %s %s; use another one, or none for the best",
                   cm_isa_name(isa),
                   cm_isa_built(isa) ? "cannot run on this CPU and operating system"
                                     : "is not in this build");
}

cm_status cm_model_create(const cm_network *network, const cm_model_options *options,
                          cm_model **out, cm_error *error) {
    *out = NULL;
    if (options->batch < 1 || options->threads < 1) {
        return cm_fail(error, CM_USAGE, "batch %d and threads %d must be at least 1",
                       options->batch, options->threads);
    }
    const cm_status trains =
        options->training ? cm_network_check_batch(network, options->batch, error) : CM_OK;
    if (trains != CM_OK) {
        return trains;
    }
    cm_model *model = calloc(1, sizeof *model);
    if (model == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory for a model");
    }
    model->network = network;
    model->batch = options->batch;
    model->block = cm_block_of(options);
    model->threads = options->threads;
    model->training = options->training;
    model->conv_algorithm = options->conv_algorithm;
    model->beta1_power = 1.0;
    model->beta2_power = 1.0;
    cm_status status = choose_kernels(options->isa, &model->kernels, error);
    if (status == CM_OK) {
        status = cm_plan_create(network, options, false, &model->inference_program.plan, error);
    }
    if (status == CM_OK && options->training) {
        status = cm_plan_create(network, options, true, &model->training_program.plan, error);
    }
    if (status == CM_OK) {
        status = allocate(model, error);
    }
    if (status != CM_OK) {
        cm_model_free(model);
        return status;
    }
    *out = model;
    return CM_OK;
}

void cm_model_free(cm_model *model) {
    if (model != NULL) {
        cm_plan_free(&model->training_program.plan);
        cm_plan_free(&model->inference_program.plan);
        free(model->tensors);
        free(model->batches_tracked);
        free(model->parameters);
        free(model->statistics);
        free(model->training_program.arena);
        free(model->inference_program.arena);
        free(model);
    }
}

const cm_network *cm_model_network(const cm_model *model) {
    return model->network;
}

cm_isa cm_model_isa(const cm_model *model) {
    return model->kernels->isa;
}

int cm_model_threads(const cm_model *model) {
    return model->threads;
}

int cm_model_batch(const cm_model *model) {
    return model->batch;
}

int cm_model_block(const cm_model *model) {
    return model->block;
}

cm_conv2d_algorithm cm_model_conv_algorithm(const cm_model *model) {
    return model->conv_algorithm;
}

const cm_plan *cm_model_plan(const cm_model *model, bool training) {
    return training ? &model->training_program.plan : &model->inference_program.plan;
}

void cm_model_set_trace(cm_model *model, cm_trace *trace) {
    model->trace = trace;
}

int64_t cm_model_step_count(const cm_model *model) {
    return model->step_count;
}

int cm_model_tensor_count(const cm_model *model) {
    return model->tensor_count;
}

const cm_tensor_spec *cm_model_tensor(const cm_model *model, int index) {
    assert(index >= 0 && index < model->tensor_count);
    return &model->tensors[index];
}

size_t cm_model_memory(const cm_model *model) {
    return model->memory;
}

/* Where a tensor's values begin in the block of its kind. */
static size_t tensor_offset(const cm_model *model, const cm_tensor_spec *spec) {
    const cm_plan *plan =
        &model->inference_program.plan; /* the training plan has the same places */
    for (int i = 0; i < plan->stage_count; ++i) {
        const cm_stage *stage = &plan->stages[i];
        const bool batch_norm = stage->batch_norm_layer == spec->layer;
        const bool conv =
            stage->layer == spec->layer &&
            (stage->kind == CM_STAGE_CONV2D || stage->kind == CM_STAGE_CONV2D_MAX_POOL2D);
        if (!batch_norm && !conv) {
            continue;
        }
        switch (spec->kind) {
        case CM_TENSOR_WEIGHT:
            return batch_norm ? stage->gamma : stage->weight;
        case CM_TENSOR_BIAS:
            return batch_norm ? stage->beta : stage->bias;
        case CM_TENSOR_RUNNING_MEAN:
            return stage->running_mean;
        case CM_TENSOR_RUNNING_VAR:
            return stage->running_var;
        case CM_TENSOR_NUM_BATCHES_TRACKED:
            break;
        }
    }
    assert(false && "every tensor belongs to a stage");
    return 0;
}

/* Shape before the flatten whose output the linear layer `layer` reads; 1x1 maps if none. */
static cm_layer_shape flattened_shape(const cm_network *network, int layer) {
    for (int i = layer - 1; i >= 0 && network->layers[i].kind != CM_LAYER_LINEAR; --i) {
        if (network->layers[i].kind == CM_LAYER_FLATTEN) {
            return network->layers[i].in;
        }
    }
    return network->layers[layer].in;
}

/* Our place of element `e` of a weight in PyTorch's order: conv2d [out][in][kh][kw] is [kh][kw][in]
 * [out] here; linear [out][in] is [in][out], where `in` counts (channel, h, w) there and (h, w,
 * channel) here. */
static size_t weight_element(const cm_network *network, const cm_tensor_spec *spec, size_t e) {
    if (spec->rank == 1) {
        return e;
    }
    const size_t out = (size_t)spec->dims[0], in = (size_t)spec->dims[1];
    if (spec->rank == 4) {
        const size_t taps = (size_t)(spec->dims[2] * spec->dims[3]);
        return ((e % taps) * in + e / taps % in) * out + e / taps / in;
    }
    const cm_layer_shape shape = flattened_shape(network, spec->layer);
    const size_t positions = (size_t)shape.height * (size_t)shape.width;
    const size_t feature = e % in;
    const size_t ours = feature % positions * (size_t)shape.channels + feature / positions;
    return ours * out + e / in;
}

static void read_weights(const cm_model *model, const float *block, const cm_tensor_spec *spec,
                         float *values) {
    const float *from = block + tensor_offset(model, spec);
    for (size_t e = 0; e < spec->count; ++e) {
        values[e] = from[weight_element(model->network, spec, e)];
    }
}

static void write_weights(const cm_model *model, float *block, const cm_tensor_spec *spec,
                          const float *values) {
    float *to = block + tensor_offset(model, spec);
    for (size_t e = 0; e < spec->count; ++e) {
        to[weight_element(model->network, spec, e)] = values[e];
    }
}

void cm_model_get_tensor(const cm_model *model, int index, void *values) {
    const cm_tensor_spec *spec = cm_model_tensor(model, index);
    if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
        memcpy(values, &model->batches_tracked[spec->layer], sizeof(int64_t));
    } else if (spec->learned) {
        read_weights(model, model->parameters, spec, values);
    } else {
        memcpy(values, model->statistics + tensor_offset(model, spec), spec->count * sizeof(float));
    }
}

void cm_model_set_tensor(cm_model *model, int index, const void *values) {
    model->prepared = false;
    const cm_tensor_spec *spec = cm_model_tensor(model, index);
    if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
        memcpy(&model->batches_tracked[spec->layer], values, sizeof(int64_t));
    } else if (spec->learned) {
        write_weights(model, model->parameters, spec, values);
    } else {
        memcpy(model->statistics + tensor_offset(model, spec), values, spec->count * sizeof(float));
    }
}

void cm_model_get_gradient(const cm_model *model, int index, float *values) {
    const cm_tensor_spec *spec = cm_model_tensor(model, index);
    assert(model->training && spec->learned);
    read_weights(model, model->gradients, spec, values);
}

cm_adam_state cm_model_get_adam(const cm_model *model) {
    return (cm_adam_state){model->step_count, model->beta1_power, model->beta2_power};
}

void cm_model_set_adam(cm_model *model, const cm_adam_state *state) {
    model->step_count = state->step_count;
    model->beta1_power = state->beta1_power;
    model->beta2_power = state->beta2_power;
}

void cm_model_get_moments(const cm_model *model, int index, float *moment1, float *moment2) {
    const cm_tensor_spec *spec = cm_model_tensor(model, index);
    assert(model->training && spec->learned);
    read_weights(model, model->moment1, spec, moment1);
    read_weights(model, model->moment2, spec, moment2);
}

void cm_model_set_moments(cm_model *model, int index, const float *moment1, const float *moment2) {
    const cm_tensor_spec *spec = cm_model_tensor(model, index);
    assert(model->training && spec->learned);
    write_weights(model, model->moment1, spec, moment1);
    write_weights(model, model->moment2, spec, moment2);
}

const char *cm_model_tensor_not_finite(const cm_model *model) {
    for (int i = 0; i < model->tensor_count; ++i) {
        const cm_tensor_spec *spec = &model->tensors[i];
        if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
            continue;
        }
        const float *block = spec->learned ? model->parameters : model->statistics;
        if (!cm_all_finite(block + tensor_offset(model, spec), spec->count)) {
            return spec->name;
        }
    }
    return NULL;
}

/* U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weights and biases of conv2d and linear layers: what
 * PyTorch's kaiming_uniform_(a=sqrt(5)) and its bias rule come to. */
static void initialize_uniform(cm_model *model, int index, uint64_t seed) {
    const cm_tensor_spec *spec = &model->tensors[index];
    const cm_layer *layer = &model->network->layers[spec->layer];
    int64_t fan_in = layer->in.channels;
    if (layer->kind == CM_LAYER_CONV2D) {
        fan_in *= (int64_t)layer->kernel_h * layer->kernel_w;
    }
    const float bound = 1.0F / sqrtf((float)fan_in);
    const cm_random_key key = {
        .seed = seed, .purpose = CM_RANDOM_INITIAL_VALUES, .index = (uint32_t)index, .step = 0};
    float *to = model->parameters + tensor_offset(model, spec);
    for (size_t e = 0; e < spec->count; ++e) {
        const float u = cm_random_uniform(&key, e);
        to[weight_element(model->network, spec, e)] = bound * (2.0F * u - 1.0F);
    }
}

static void fill_tensor(float *values, size_t count, float value) {
    for (size_t i = 0; i < count; ++i) {
        values[i] = value;
    }
}

void cm_model_initialize(cm_model *model, uint64_t seed) {
    model->prepared = false;
    for (int i = 0; i < model->tensor_count; ++i) {
        const cm_tensor_spec *spec = &model->tensors[i];
        const bool batch_norm = model->network->layers[spec->layer].kind == CM_LAYER_BATCH_NORM;
        if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
            model->batches_tracked[spec->layer] = 0;
        } else if (!spec->learned) {
            fill_tensor(model->statistics + tensor_offset(model, spec), spec->count,
                        spec->kind == CM_TENSOR_RUNNING_VAR ? 1.0F : 0.0F);
        } else if (batch_norm) {
            fill_tensor(model->parameters + tensor_offset(model, spec), spec->count,
                        spec->kind == CM_TENSOR_WEIGHT ? 1.0F : 0.0F);
        } else {
            initialize_uniform(model, i, seed);
        }
    }
    cm_model_reset_optimizer(model);
}

cm_optimizer cm_optimizer_default(void) {
    return (cm_optimizer){
        .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-5};
}

void cm_model_reset_optimizer(cm_model *model) {
    if (model->training) {
        memset(model->moment1, 0,
               2 * model->inference_program.plan.parameter_floats * sizeof(float));
    }
    model->step_count = 0;
    model->beta1_power = 1.0;
    model->beta2_power = 1.0;
}

cm_batch_result cm_model_train_step(cm_model *model, int batch, const float *images,
                                    const uint8_t *labels, const cm_optimizer *optimizer,
                                    uint64_t seed) {
    assert(model->training && batch >= 1 && batch <= model->batch);
    cm_step step = {.model = model,
                    .batch = batch,
                    .images = images,
                    .labels = labels,
                    .optimizer = optimizer,
                    .seed = seed};
    cm_step_train(&step);
    return (cm_batch_result){step.loss, step.correct};
}

cm_batch_result cm_model_gradients(cm_model *model, int batch, const float *images,
                                   const uint8_t *labels, uint64_t seed) {
    return cm_model_train_step(model, batch, images, labels, NULL, seed);
}

cm_batch_result cm_model_evaluate(cm_model *model, int batch, const float *images,
                                  const uint8_t *labels) {
    assert(batch >= 1 && batch <= model->batch);
    cm_step step = {.model = model, .batch = batch, .images = images, .labels = labels};
    cm_step_infer(&step);
    return (cm_batch_result){step.loss, step.correct};
}

void cm_model_predict(cm_model *model, int batch, const float *images, float *logits) {
    assert(batch >= 1 && batch <= model->batch);
    cm_step step = {.model = model, .batch = batch, .images = images};
    cm_step_infer(&step);
    memcpy(logits, step.logits, (size_t)batch * (size_t)model->network->classes * sizeof(float));
}

void cm_model_sha256(const cm_model *model, char hex[65]) {
    cm_sha256 hash;
    cm_sha256_init(&hash);
    for (int i = 0; i < model->tensor_count; ++i) {
        const cm_tensor_spec *spec = &model->tensors[i];
        if (spec->kind == CM_TENSOR_NUM_BATCHES_TRACKED) {
            cm_sha256_update(&hash, &model->batches_tracked[spec->layer], sizeof(int64_t));
            continue;
        }
        const float *block = spec->learned ? model->parameters : model->statistics;
        const float *values = block + tensor_offset(model, spec);
        for (size_t e = 0; e < spec->count; ++e) {
            const size_t at = spec->learned ? weight_element(model->network, spec, e) : e;
            cm_sha256_update(&hash, &values[at], sizeof(float));
        }
    }
    cm_sha256_final(&hash, hex);
}
