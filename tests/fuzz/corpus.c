/* Replays a corpus through a fuzz target, for compilers without libFuzzer: corpus DIR. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int main(int argc, char **argv) {
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (dir == NULL) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY (which must exist)\n", argv[0]);
        return 2;
    }
    unsigned n = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        size_t len;
        char *data = sp_test_read(path, &len);
        if (data == NULL)
            continue;
        /* An exact allocation, so that the address sanitizer sees one byte too many. */
        uint8_t *exact = malloc(len > 0 ? len : 1);
        for (size_t i = 0; i < len; i++)
            exact[i] = (uint8_t)data[i];
        LLVMFuzzerTestOneInput(exact, len);
        free(exact);
        free(data);
        n++;
    }
    closedir(dir);
    printf("%u inputs\n", n);
    return n > 0 ? 0 : 1;
}
