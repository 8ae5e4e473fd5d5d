/* Plays a folder of inputs through LLVMFuzzerTestOneInput where libFuzzer is not linked: each file as it is, cut short at
 * every sixteenth of its length, and with single bytes changed by a fixed generator, so that a plain test run covers the
 * corpus and its neighbourhood the same way on every machine. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 20, MUTATIONS = 200 };

/* A heap block of exactly `size` bytes, so that the address sanitizer sees the first byte read too far. */
static void play(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);

    if (exact == NULL)
        abort();
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void play_neighbours(uint8_t *data, size_t size)
{
    uint64_t state = 0x9E3779B97F4A7C15u ^ size;

    for (size_t part = 0; part < 16; part++)
        play(data, size * part / 16);
    for (int i = 0; i < MUTATIONS && size > 0; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t at = (size_t)(state >> 33) % size;
        uint8_t old = data[at];
        data[at] = (uint8_t)(state >> 17);
        play(data, size);
        data[at] = old;
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_MAX];
    struct dirent **names = NULL;
    int count = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1;
    int played = 0;

    if (count < 0) {
        printf("1..1\nnot ok 1 - cannot read the corpus folder '%s'\n", argc == 2 ? argv[1] : "(none given)");
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
        FILE *file = names[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        free(names[i]);
        if (file == NULL)
            continue;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        play(data, size);
        play_neighbours(data, size);
        printf("ok %d - %s\n", ++played, strrchr(path, '/') + 1);
    }
    free(names);
    if (played == 0)
        printf("not ok 1 - the corpus folder '%s' is empty\n", argv[1]);
    printf("1..%d\n", played ? played : 1);
    return played ? 0 : 1;
}
