/* convmark predict: the classes of pictures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/loaded_model.h"
#include "cli/machine.h"
#include "convmark/model.h"
#include "convmark/model_file.h"
#include "convmark/stream.h"
#include "core/data/png_image.h"
#include "core/escape.h"
#include "kernels/elementwise/elementary.h"

typedef struct predict_options {
    const char *network;
    bool invert;
} predict_options;

static const cm_option option_table[] = {
    {"network", CM_OPTION_STRING, offsetof(predict_options, network), "NAME|FILE",
     "Name the network. Needed for a model file that another program wrote.", 0, 0, NULL},
    {"invert", CM_OPTION_TRUE, offsetof(predict_options, invert), NULL,
     "Invert the pictures: use for dark on light (the data set is light on dark)", 0, 0, NULL},
    {0}};

/* ---- One picture ---- */

/* A model at work, and memory for one picture. */
typedef struct predictor {
    cm_loaded_model loaded;
    cm_png_format format;
    bool fashion; /* labels are those of Fashion-MNIST */
    uint8_t *bytes;
    float *input, *logits;
    struct class_score *scores;
} predictor;

typedef struct class_score {
    int label;
    double value; /* logit, then probability */
} class_score;

/* What is probably not as its user thinks. */
static void warn_of_picture(const char *path, const cm_png_format *format, const uint8_t *bytes,
                            const int size[2]) {
    const cm_picture_doubt doubt = cm_picture_judge(format, bytes);
    const double wanted = (double)format->width / format->height;
    const double stretch = (double)size[1] / size[0] / wanted;
    if (doubt == CM_PICTURE_EMPTY) {
        cm_warn("%s: all pixels are nearly the same: there is nothing to classify; %s", path,
                format->invert ? "leave --invert out if it is light on transparent ground"
                               : "give --invert if it is dark on transparent ground");
    } else if (doubt == CM_PICTURE_LIGHT_GROUND) {
        cm_warn("%s: looks like dark on light, and models are trained on light on dark; %s", path,
                format->invert ? "leave --invert out" : "try --invert");
    }
    if (stretch > 1.5 || stretch < 1 / 1.5) {
        cm_warn("%s: its %d x %d pixels are squeezed to %d x %d; cut it to those proportions", path,
                size[1], size[0], format->width, format->height);
    }
}

static int compare_scores(const void *a, const void *b) {
    const class_score *first = a, *second = b;
    if (first->value != second->value) {
        return first->value > second->value ? -1 : 1;
    }
    return first->label - second->label;
}

/* Softmax, sorted. */
static void score_classes(const float *logits, int classes, class_score *scores) {
    double largest = logits[0], sum = 0;
    for (int i = 1; i < classes; ++i) {
        largest = (double)logits[i] > largest ? (double)logits[i] : largest;
    }
    for (int i = 0; i < classes; ++i) {
        scores[i] = (class_score){i, cm_exp((double)logits[i] - largest)};
        sum += scores[i].value;
    }
    for (int i = 0; i < classes; ++i) {
        scores[i].value /= sum;
    }
    qsort(scores, (size_t)classes, sizeof *scores, compare_scores);
}

static cm_status check_logits(predictor *p, const char *picture, cm_error *error) {
    const int classes = p->loaded.network->classes;
    int i = 0;
    while (i < classes && isfinite(p->logits[i])) {
        ++i;
    }
    if (i == classes) {
        return CM_OK;
    }
    const char *layer = cm_model_layer_not_finite(p->loaded.model, 1, p->input);
    return cm_fail(error, CM_FAILED,
                   "%s: the answer is not a number: the first output that is not finite is that of "
                   "layer %s; the model is of no use",
                   picture, layer != NULL ? layer : "unknown");
}

static cm_status classify(predictor *p, const char *picture, cm_error *error) {
    int size[2];
    cm_status status = cm_png_read_as(picture, &p->format, p->bytes, size, error);
    if (status != CM_OK) {
        return status;
    }
    warn_of_picture(picture, &p->format, p->bytes, size);
    const size_t count =
        (size_t)p->format.height * (size_t)p->format.width * (size_t)p->format.channels;
    cm_pixels_to_float(p->bytes, count, p->input);
    cm_model_predict(p->loaded.model, 1, p->input, p->logits);
    status = check_logits(p, picture, error);
    if (status == CM_OK) {
        score_classes(p->logits, p->loaded.network->classes, p->scores);
    }
    return status;
}

/* ---- All of them ---- */

static const char *class_text(const predictor *p, int place, char name[32]) {
    return cm_label_text(p->fashion, p->scores[place].label, name, 32);
}

static void print_classes(const predictor *p) {
    char name[32];
    printf("%s\n\n", class_text(p, 0, name));
    for (int i = 0; i < p->loaded.network->classes; ++i) {
        printf("%-14s%.4f\n", class_text(p, i, name), p->scores[i].value);
    }
}

/* One line per picture: the class, its probability, the picture. One that cannot be read is named,
 * and the others are classified. */
static cm_status classify_each(predictor *p, const char *const *pictures, int count,
                               cm_error *error) {
    int failed = 0;
    cm_status status = CM_OK;
    for (int i = 0; i < count; ++i) {
        char name[32];
        cm_error reason = {""};
        const cm_status one = classify(p, pictures[i], &reason);
        if (one == CM_OK) {
            printf("%-14s%.4f  %s\n", class_text(p, 0, name), p->scores[0].value,
                   CM_SHOW(pictures[i]));
        } else {
            cm_warn("%s", reason.message);
            status = one;
            ++failed;
        }
    }
    return failed == 0 ? CM_OK
                       : cm_fail(error, status,
                                 "%d of %d pictures could not be classified; the "
                                 "lines above say why",
                                 failed, count);
}

static cm_status open_predictor(const char *model_path, const predict_options *given,
                                const cm_machine_options *machine, predictor *p, cm_error *error) {
    const cm_model_options options = {
        .batch = 1, .threads = machine->threads, .isa = machine->chosen_isa};
    cm_status status =
        cm_loaded_model_open(model_path, given->network, &options, &p->loaded, error);
    char data[CM_DATA_NAME_SIZE] = "";
    if (status == CM_OK) {
        status = cm_model_file_data(model_path, data, error);
    }
    if (status != CM_OK) {
        return status;
    }
    const cm_network *network = p->loaded.network;
    const cm_layer_shape *in = &network->input;
    if (in->channels != 1 && in->channels != 3) {
        return cm_fail(
            error, CM_BAD_INPUT,
            "%s: its network reads %d channels, a picture has one (grey) or three (RGB); "
            "use a model with one or three",
            model_path, in->channels);
    }
    p->fashion = cm_labels_are_fashion(network, data);
    p->format = (cm_png_format){in->channels, in->height, in->width, given->invert};
    const size_t size = (size_t)in->height * (size_t)in->width * (size_t)in->channels;
    p->bytes = malloc(size);
    p->input = malloc(size * sizeof *p->input);
    p->logits = malloc((size_t)network->classes * sizeof *p->logits);
    p->scores = malloc((size_t)network->classes * sizeof *p->scores);
    return p->bytes == NULL || p->input == NULL || p->logits == NULL || p->scores == NULL
               ? cm_fail(error, CM_FAILED, "out of memory for one picture; close other programs")
               : CM_OK;
}

/* `words`: the model, then pictures. */
static cm_status predict(const char *const *words, int count, const predict_options *given,
                         const cm_machine_options *machine, cm_error *error) {
    predictor p = {.bytes = NULL};
    cm_status status = open_predictor(words[0], given, machine, &p, error);
    if (status == CM_OK && count == 2) {
        status = classify(&p, words[1], error);
        if (status == CM_OK) {
            print_classes(&p);
        }
    } else if (status == CM_OK) {
        status = classify_each(&p, words + 1, count - 1, error);
    }
    free(p.scores);
    free(p.logits);
    free(p.input);
    free(p.bytes);
    cm_loaded_model_close(&p.loaded);
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
        cm_arguments_parse(&command->usage, argc, argv, groups, 2, CM_ANY_WORDS, &arguments, error);
    if (status == CM_OK && !arguments.help && arguments.count < 2) {
        status =
            cm_fail(error, CM_USAGE,
                    "predict: %d argument%s given; usage: convmark predict MODEL IMAGE.png ...",
                    arguments.count, arguments.count == 1 ? "" : "s");
    }
    if (status == CM_OK && !arguments.help) {
        status = cm_machine_prepare(&machine, error);
        if (status == CM_OK) {
            status = predict(arguments.words, arguments.count, &options, &machine, error);
        }
    }
    cm_machine_release(&machine);
    cm_arguments_free(&arguments);
    return status;
}
