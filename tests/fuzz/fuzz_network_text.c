/*
 * Any bytes as network text. What parses must be written as text that parses to the same text, and
 * every derived figure must be computed without overflow.
 */
#include "convmark/network.h"
#include "fuzz.h"

static void check_network(const cm_network *network) {
    cm_error error = {""};
    cm_network *copy = NULL;
    char *text = NULL;
    char *again = NULL;
    int tensor_count = 0;
    int64_t macs = 0;
    FUZZ_EXPECT(cm_network_to_text(network, &text, &error) == CM_OK);
    FUZZ_EXPECT(cm_network_parse(text, strlen(text), "copy", &copy, &error) == CM_OK);
    FUZZ_EXPECT(cm_network_to_text(copy, &again, &error) == CM_OK);
    FUZZ_EXPECT(strcmp(text, again) == 0);
    cm_tensor_spec *tensors = cm_network_tensors(network, &tensor_count);
    size_t learned = 0;
    for (int i = 0; i < tensor_count; ++i) {
        learned += tensors[i].learned ? tensors[i].count : 0;
    }
    FUZZ_EXPECT((int64_t)learned == cm_network_parameter_count(network));
    for (int i = 0; i < network->layer_count; ++i) {
        const cm_layer_shape out = network->layers[i].out;
        FUZZ_EXPECT(out.channels > 0 && out.height > 0 && out.width > 0);
        macs += cm_layer_macs(&network->layers[i]); /* the sanitizer stops at an overflow */
    }
    FUZZ_EXPECT(macs > 0);
    free(tensors);
    free(text);
    free(again);
    cm_network_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cm_network *network = NULL;
    cm_error error = {""};
    const cm_status status =
        cm_network_parse((const char *)data, size, "fuzz.txt", &network, &error);
    if (status == CM_OK) {
        check_network(network);
        cm_network_free(network);
    } else {
        FUZZ_EXPECT(network == NULL);
        fuzz_expect_refused(status, &error, "fuzz.txt:");
    }
    return 0;
}
