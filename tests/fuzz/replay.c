/*
 * Runs a fuzz target on every file of folders, in any build. With --cut also on each file cut at
 * every byte (at 4,096 places of a longer one). When it stops, the last line says at which input.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { PATH_SIZE = 1024, MAX_CUTS = 4096 };

/* In memory of just its size, so that the sanitizer sees a read beyond it. */
static void run_part(const uint8_t *bytes, size_t size) {
    uint8_t *part = malloc(size > 0 ? size : 1);
    FUZZ_EXPECT(part != NULL);
    memcpy(part, bytes, size);
    LLVMFuzzerTestOneInput(part, size);
    free(part);
}

static void run_file(const char *path, size_t size, bool cut) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(size + 1);
    FUZZ_EXPECT(file != NULL && bytes != NULL && fread(bytes, 1, size, file) == size);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    const size_t step = size / MAX_CUTS + 1;
    for (size_t at = 0; cut && at < size; at += step) {
        run_part(bytes, at);
    }
    run_part(bytes, size);
    free(bytes);
}

static int run_folder(const char *folder, bool cut) {
    DIR *listing = opendir(folder);
    if (listing == NULL) {
        fprintf(stderr, "%s: cannot be read\n", folder);
        return 0;
    }
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        char path[PATH_SIZE];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
            run_file(path, (size_t)info.st_size, cut);
            ++count;
        }
    }
    closedir(listing);
    return count;
}

int main(int argc, char **argv) {
    const bool cut = argc > 1 && strcmp(argv[1], "--cut") == 0;
    bool empty = argc == (cut ? 2 : 1);
    for (int i = cut ? 2 : 1; i < argc; ++i) {
        const int count = run_folder(argv[i], cut);
        printf("%s: %d inputs\n", argv[i], count);
        empty = empty || count == 0;
    }
    return empty ? 1 : 0;
}
