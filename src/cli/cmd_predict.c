/* convmark predict: the class of one picture. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/loaded_model.h"
#include "cli/machine.h"
#include "convmark/model.h"
#include "convmark/stream.h"
#include "core/data/png_image.h"
#include "kernels/elementwise/elementary.h"

typedef struct predict_options {
    const char *network;
    bool invert;
} predict_options;

static const cm_option option_table[] = {
    {"network", CM_OPTION_STRING, offsetof(predict_options, network), "NAME|FILE",
     "Name the network, if the model file does not", 0, 0, NULL},
    {"invert", CM_OPTION_TRUE, offsetof(predict_options, invert), NULL,
     "Invert the picture: use for dark on light (the data set is light on dark)", 0, 0, NULL},
    {0}};

/* The picture as the network's input: one grey channel, 0 .. 1. */
static cm_status read_picture(const char *path, const cm_network *network, bool invert,
                              float *input, cm_error *error) {
    const size_t size = (size_t)network->input.height * (size_t)network->input.width;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        return cm_fail(error, CM_FAILED, "out of memory for the picture; close other programs");
    }
    const cm_status status =
        cm_png_read(path, network->input.height, network->input.width, invert, bytes, error);
    if (status == CM_OK) {
        cm_pixels_to_float(bytes, size, input);
    }
    free(bytes);
    return status;
}

typedef struct class_score {
    int label;
    double value; /* logit, then probability */
} class_score;

static int compare_scores(const void *a, const void *b) {
    const class_score *first = a, *second = b;
    if (first->value != second->value) {
        return first->value > second->value ? -1 : 1;
    }
    return first->label - second->label;
}

/* Softmax, sorted, printed. */
static void print_classes(const float *logits, int classes, class_score *scores) {
    double largest = logits[0], sum = 0;
    for (int i = 1; i < classes; ++i) {
        largest = (double)logits[i] > largest ? (double)logits[i] : largest;
    }
    for (int i = 0; i < classes; ++i) {
        scores[i] = (class_score){i, cm_exp((double)logits[i] - largest)};
        sum += scores[i].value;
    }
    qsort(scores, (size_t)classes, sizeof *scores, compare_scores);
    char name[32];
    printf("%s\n\n", cm_label_text(NULL, scores[0].label, classes, name, sizeof name));
    for (int i = 0; i < classes; ++i) {
        printf("%-14s%.4f\n", cm_label_text(NULL, scores[i].label, classes, name, sizeof name),
               scores[i].value / sum);
    }
}

static cm_status predict(const char *model_path, const char *picture, const predict_options *given,
                         const cm_machine_options *machine, cm_error *error) {
    cm_loaded_model loaded;
    const cm_model_options options = {
        .batch = 1, .threads = machine->threads, .isa = machine->chosen_isa};
    cm_status status = cm_loaded_model_open(model_path, given->network, &options, &loaded, error);
    if (status != CM_OK) {
        return status;
    }
    const cm_network *network = loaded.network;
    const size_t size = (size_t)network->input.height * (size_t)network->input.width;
    float *input = malloc(size * sizeof *input);
    float *logits = malloc((size_t)network->classes * sizeof *logits);
    class_score *scores = malloc((size_t)network->classes * sizeof *scores);
    if (input == NULL || logits == NULL || scores == NULL) {
        status = cm_fail(error, CM_FAILED, "out of memory for one picture; close other programs");
    } else if (network->input.channels != 1) {
        status = cm_fail(error, CM_BAD_INPUT,
                         "%s: its network reads %d channels, a picture has one (grey); use a "
                         "model with one input channel",
                         model_path, network->input.channels);
    } else {
        status = read_picture(picture, network, given->invert, input, error);
    }
    if (status == CM_OK) {
        cm_model_predict(loaded.model, 1, input, logits);
        print_classes(logits, network->classes, scores);
    }
    free(scores);
    free(logits);
    free(input);
    cm_loaded_model_close(&loaded);
    return status;
}

cm_status cm_command_predict(const cm_command *command, int argc, const char **argv,
                             cm_error *error) {
    predict_options options = {NULL, false};
    cm_machine_options machine = cm_machine_options_default();
    machine.threads = 1; /* one picture is too little work for more */
    machine.pin = false;
    const cm_option_group groups[] = {{option_table, &options}, {cm_isa_option_table, &machine}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 2, 2, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        status = cm_machine_prepare(&machine, error);
        if (status == CM_OK) {
            status = predict(arguments.words[0], arguments.words[1], &options, &machine, error);
        }
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
