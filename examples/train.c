/*
 * Trains a variant of the report through the library and prints its accuracy and its hash.
 *
 *     train [VARIANT [DATA]]
 *
 * VARIANT is a name that `convmark variants` lists (default: bn-3). DATA is a folder with
 * Fashion-MNIST or the word "synthetic"; without it the library searches the usual places.
 *
 * The run is short: 2 epochs of 10 batches. The hash covers every parameter after the last step and
 * is the same on every machine and with any number of threads.
 */
#include <stdio.h>

#include <convmark/convmark.h>

/* cm_train() calls this after every batch, and with an epoch's results after every epoch. The
 * library itself never prints. */
static void print_epoch(const cm_train_progress *progress, const cm_epoch_result *epoch,
                        void *context) {
    (void)context; /* the pointer that cm_train() was given for us: not needed here */
    if (epoch != NULL) {
        printf("epoch %d: training loss %.4f, validation loss %.4f, accuracy %.3f\n",
               progress->epoch + 1, epoch->train_loss, epoch->test_loss, epoch->accuracy);
    }
}

static cm_status train(cm_model *model, const cm_dataset *dataset, cm_error *error) {
    /* The default options are the report's protocol. We change what makes the run short. */
    cm_train_options options = cm_train_options_default();
    options.seed = 1;
    options.epochs = 2;
    options.steps = 10;
    options.valid_steps = 5;
    options.batch = 32;

    /* The seed decides the initial values here, and the order of the images in cm_train(). */
    cm_model_initialize(model, options.seed);

    cm_train_result result;
    cm_status status = cm_train(model, dataset, &options, print_epoch, NULL, NULL, &result, error);
    if (status == CM_OK) {
        printf("sha256 %s\n", result.sha256);
    }
    cm_train_result_free(&result); /* always, whatever the status */
    return status;
}

/* Measures the trained model on the first images of the validation set. */
static cm_status evaluate(cm_model *model, const cm_dataset *dataset, cm_error *error) {
    cm_images first = dataset->validation; /* a view: the pixels stay the data set's */
    first.count = 100;

    cm_evaluation evaluation;
    const cm_status status = cm_evaluate(model, &first, 32, &evaluation, error);
    if (status == CM_OK) {
        printf("first %d images: accuracy %.2f\n", first.count, evaluation.accuracy);
    }
    cm_evaluation_free(&evaluation);
    return status;
}

int main(int argc, char **argv) {
    const char *variant = argc > 1 ? argv[1] : "bn-3";
    const char *data = argc > 2 ? argv[2] : NULL;

    /* CM_ISA_BEST asks for the best instruction set of this machine. The model owns all memory
     * that a training step needs; nothing is allocated after it has been created. */
    const cm_model_options options = {
        .batch = 32, .threads = 2, .isa = CM_ISA_BEST, .training = true};

    /* A function that can fail returns a status and writes one line of text into the error. */
    cm_error error = {""};
    cm_network *network = NULL;
    cm_dataset *dataset = NULL;
    cm_model *model = NULL;

    cm_status status = cm_network_open(variant, &network, &error);
    if (status == CM_OK) {
        status = cm_dataset_open(data, &dataset, &error);
    }
    if (status == CM_OK) {
        status = cm_model_create(network, &options, &model, &error);
    }
    if (status == CM_OK) {
        status = train(model, dataset, &error);
    }
    if (status == CM_OK) {
        status = evaluate(model, dataset, &error);
    }
    if (status != CM_OK) {
        fprintf(stderr, "train: %s\n", error.message);
    }

    /* The network outlives its models, so it goes last. All three functions take NULL. */
    cm_model_free(model);
    cm_dataset_close(dataset);
    cm_network_free(network);
    return (int)status; /* the statuses are the program's exit codes */
}
