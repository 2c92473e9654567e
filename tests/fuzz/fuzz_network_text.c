/*
 * libFuzzer target: any bytes as network text. What parses must be written as text that parses to
 * the same text, and every derived figure must be computed without overflow.
 *
 * From the root of the source tree:
 *
 *   clang -std=c17 -D_POSIX_C_SOURCE=200809L -Isrc -g -O1 \
 *       -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
 *       tests/fuzz/fuzz_network_text.c src/nearest.c src/status.c src/network/network.c \
 *       src/network/network_text.c -o fuzz_network_text
 *   mkdir -p corpus
 *   ./fuzz_network_text -max_total_time=60 corpus tests/networks/good tests/networks/bad
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "network/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int holds) {
    if (!holds) {
        abort();
    }
}

static void check_network(const cm_network *network) {
    cm_error error = {""};
    cm_network *copy = NULL;
    char *text = NULL;
    char *again = NULL;
    int tensor_count = 0;
    int64_t macs = 0;
    expect(cm_network_to_text(network, &text, &error) == CM_OK);
    expect(cm_network_parse(text, strlen(text), "copy", &copy, &error) == CM_OK);
    expect(cm_network_to_text(copy, &again, &error) == CM_OK);
    expect(strcmp(text, again) == 0);
    cm_tensor_spec *tensors = cm_network_tensors(network, &tensor_count);
    size_t learned = 0;
    for (int i = 0; i < tensor_count; ++i) {
        learned += tensors[i].learned ? tensors[i].count : 0;
    }
    expect((int64_t)learned == cm_network_parameter_count(network));
    for (int i = 0; i < network->layer_count; ++i) {
        const cm_layer_shape out = network->layers[i].out;
        expect(out.channels > 0 && out.height > 0 && out.width > 0);
        macs += cm_layer_macs(&network->layers[i]); /* the sanitizer stops at an overflow */
    }
    expect(macs > 0);
    free(tensors);
    free(text);
    free(again);
    cm_network_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cm_network *network = NULL;
    cm_error error = {""};
    if (cm_network_parse((const char *)data, size, "fuzz.txt", &network, &error) == CM_OK) {
        check_network(network);
        cm_network_free(network);
    } else {
        expect(network == NULL && strncmp(error.message, "fuzz.txt:", 9) == 0);
    }
    return 0;
}
