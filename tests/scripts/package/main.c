/* A user's program: opens a variant by name, trains two steps on the synthetic data set, prints the
 * SHA-256 of the parameters. */
#include <stdio.h>
#include <string.h>

#include <convmark/convmark.h>

static cm_status train(const cm_network *network, const cm_dataset *dataset, cm_error *error) {
    const cm_model_options model_options = {
        .batch = 8, .threads = 2, .isa = CM_ISA_BEST, .training = true};
    cm_train_options options = cm_train_options_default();
    options.epochs = 1;
    options.steps = 2;
    options.valid_steps = 1;
    options.batch = model_options.batch;

    cm_model *model = NULL;
    cm_status status = cm_model_create(network, &model_options, &model, error);
    if (status != CM_OK) {
        return status;
    }
    cm_model_initialize(model, options.seed);
    cm_train_result result;
    status = cm_train(model, dataset, &options, NULL, NULL, NULL, &result, error);
    if (status == CM_OK) {
        printf("%s\n", result.sha256);
    }
    cm_train_result_free(&result);
    cm_model_free(model);
    return status;
}

int main(void) {
    if (strcmp(cm_version(), CM_VERSION) != 0) {
        fprintf(stderr, "outside: library %s, headers %s\n", cm_version(), CM_VERSION);
        return CM_FAILED;
    }
    cm_error error = {.message = ""};
    cm_network *network = NULL;
    cm_dataset *dataset = NULL;
    cm_status status = cm_network_open("baseline", &network, &error);
    if (status == CM_OK) {
        status = cm_dataset_open("synthetic", &dataset, &error);
    }
    if (status == CM_OK) {
        status = train(network, dataset, &error);
    }
    if (status != CM_OK) {
        fprintf(stderr, "outside: %s\n", error.message);
    }
    cm_dataset_close(dataset);
    cm_network_free(network);
    return (int)status;
}
