/*
 * Trains a network of your own, saves it, loads the file again and compares both models.
 *
 *     own_network NETWORK.txt MODEL.safetensors [DATA]
 *
 * The network is text (docs/reference/network-text.md; examples/own-network.txt is one). The model
 * file is safetensors with PyTorch's names and shapes, so that PyTorch loads it, too.
 */
#include <stdio.h>
#include <string.h>

#include <convmark/convmark.h>

enum { BATCH = 32, STEPS = 20 };

/* A training loop of our own, for when cm_train() does not do what you want: the stream gives
 * batches, the model takes steps. */
static cm_status train(cm_model *model, const cm_dataset *dataset, cm_error *error) {
    enum { PIXELS = 28 * 28 };
    static float pixels[BATCH * PIXELS];
    static uint8_t labels[BATCH];
    const uint64_t seed = 1;

    /* The data set has grey images. This rejects a network that is made for others. */
    cm_status status =
        cm_network_check_fits(cm_model_network(model), &dataset->train, dataset->classes, error);
    if (status != CM_OK) {
        return status;
    }
    cm_stream *stream = NULL;
    status =
        cm_stream_create(&dataset->train, BATCH, true, seed, CM_RANDOM_TRAIN_ORDER, &stream, error);
    if (status != CM_OK) {
        return status;
    }
    /* Adam's constants of the report's protocol; another learning rate would go here. */
    const cm_optimizer optimizer = cm_train_options_default().optimizer;

    cm_model_initialize(model, seed);
    for (int step = 1; step <= STEPS; ++step) {
        cm_stream_next(stream, pixels, labels);
        const cm_batch_result result =
            cm_model_train_step(model, BATCH, pixels, labels, &optimizer, seed);
        if (step == 1 || step % 10 == 0) {
            printf("step %d: loss %.4f, %d of %d correct\n", step, result.loss, result.correct,
                   BATCH);
        }
    }
    cm_stream_free(stream);
    return CM_OK;
}

/* A model file carries its network as text, so that nothing but the file is needed to use it. */
static cm_status load(const char *path, char sha256[65], cm_error *error) {
    const cm_model_options options = {.batch = BATCH, .threads = 1, .isa = CM_ISA_BEST};
    cm_network *network = NULL;
    cm_model *model = NULL;
    cm_status status = cm_model_file_network(path, &network, error);
    if (status == CM_OK) {
        status = cm_model_create(network, &options, &model, error);
    }
    if (status == CM_OK) {
        status = cm_model_load(model, path, error);
    }
    if (status == CM_OK) {
        cm_model_sha256(model, sha256);
    }
    cm_model_free(model);
    cm_network_free(network);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: own_network NETWORK.txt MODEL.safetensors [DATA]\n");
        return CM_USAGE;
    }
    const cm_model_options options = {
        .batch = BATCH, .threads = 2, .isa = CM_ISA_BEST, .training = true};
    cm_error error = {""};
    cm_network *network = NULL;
    cm_dataset *dataset = NULL;
    cm_model *model = NULL;

    cm_status status = cm_network_open(argv[1], &network, &error);
    if (status == CM_OK) {
        printf("%s: %lld parameters\n", network->name,
               (long long)cm_network_parameter_count(network));
        const cm_dataset_shape shape = cm_network_data_shape(network); /* of synthetic pictures */
        status = cm_dataset_open_shaped(argc > 3 ? argv[3] : NULL, &shape, &dataset, &error);
    }
    if (status == CM_OK) {
        status = cm_model_create(network, &options, &model, &error);
    }
    if (status == CM_OK) {
        status = train(model, dataset, &error);
    }
    if (status == CM_OK) {
        status = cm_model_save(model, argv[2], &error); /* written whole or not at all */
    }
    char trained[65] = "", loaded[65] = "";
    if (status == CM_OK) {
        cm_model_sha256(model, trained);
        status = load(argv[2], loaded, &error);
    }
    if (status == CM_OK && strcmp(trained, loaded) != 0) {
        status = cm_fail(&error, CM_FAILED, "%s holds other values than were saved", argv[2]);
    }
    if (status == CM_OK) {
        printf("saved and loaded: sha256 %s\n", loaded);
    } else {
        fprintf(stderr, "own_network: %s\n", error.message);
    }
    cm_model_free(model);
    cm_dataset_close(dataset);
    cm_network_free(network);
    return (int)status;
}
