/* A use of memory that nobody has written, which is meant: network text with a byte left out. The
 * memory sanitizer must report it, or its set-up is wrong and its silence about the other tests
 * means nothing. `planted_uninitialised --filled` writes the byte: no word of it then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convmark/network.h"

int main(int argc, char **argv) {
    static const char whole[] = "input 1 4 4\nflatten\nlinear 2\n";
    enum { SIZE = sizeof whole - 1, LEFT_OUT = 8 };
    const int filled = argc > 1 && strcmp(argv[1], "--filled") == 0;
    char *text = malloc(SIZE);
    cm_network *network = NULL;
    cm_error error = {""};
    if (text == NULL) {
        return 1;
    }
    memcpy(text, whole, LEFT_OUT);
    memcpy(text + LEFT_OUT + 1, whole + LEFT_OUT + 1, SIZE - LEFT_OUT - 1);
    if (filled) {
        text[LEFT_OUT] = whole[LEFT_OUT];
    }
    const cm_status status = cm_network_parse(text, SIZE, "text", &network, &error);
    printf("status %d\n", (int)status);
    cm_network_free(network);
    free(text);
    return filled && status != CM_OK;
}
