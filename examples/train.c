/* Trains a network of one's own for 20 steps and says how it answers. usage: example [DATA] */
#include <stdio.h>
#include <string.h>

#include <convmark/convmark.h>

static const char text[] = "input 1 28 28\n"
                           "conv2d 16 kernel 3 padding 1\n"
                           "batch_norm\n"
                           "relu\n"
                           "max_pool2d 3\n"
                           "flatten\n"
                           "linear 10\n";

static void show(const cm_train_progress *progress, const cm_epoch_result *epoch, void *context) {
    (void)context;
    if (epoch != NULL) {
        printf("epoch %d: loss %.4f, validation %.4f, accuracy %.3f\n", progress->epoch + 1,
               epoch->train_loss, epoch->test_loss, epoch->accuracy);
    }
}

static cm_status run(cm_model *model, const cm_dataset *dataset, cm_error *error) {
    cm_train_options options = cm_train_options_default();
    options.seed = 1;
    options.epochs = 2;
    options.steps = 10;
    options.valid_steps = 5;
    options.batch = 32;
    cm_model_initialize(model, options.seed);

    cm_train_result result;
    cm_status status = cm_train(model, dataset, &options, show, NULL, NULL, &result, error);
    if (status == CM_OK) {
        printf("sha256 %s\n", result.sha256);
    }
    cm_train_result_free(&result);
    if (status != CM_OK) {
        return status;
    }

    cm_evaluation evaluation;
    cm_images first = dataset->validation;
    first.count = 100;
    status = cm_evaluate(model, &first, 32, &evaluation, error);
    if (status == CM_OK) {
        printf("first %d images: accuracy %.2f\n", first.count, evaluation.accuracy);
    }
    cm_evaluation_free(&evaluation);
    return status;
}

int main(int argc, char **argv) {
    const cm_model_options options = {
        .batch = 32, .threads = 2, .isa = CM_ISA_COUNT, .training = true};
    cm_error error = {""};
    cm_network *network = NULL;
    cm_dataset *dataset = NULL;
    cm_model *model = NULL;

    cm_status status = cm_network_parse(text, strlen(text), "example", &network, &error);
    if (status == CM_OK) {
        status = cm_dataset_open(argc > 1 ? argv[1] : NULL, &dataset, &error);
    }
    if (status == CM_OK) {
        status = cm_model_create(network, &options, &model, &error);
    }
    if (status == CM_OK) {
        status = run(model, dataset, &error);
    }
    if (status != CM_OK) {
        fprintf(stderr, "example: %s\n", error.message);
    }
    cm_model_free(model);
    cm_dataset_close(dataset);
    cm_network_free(network);
    return (int)status;
}
