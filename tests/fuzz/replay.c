/* tests/fuzz/replay.c - feeds a fuzz harness what is known: every file of its corpus, every cut of
 * each file, each byte of it changed a few ways, and fixed edge inputs. No fuzzer and no clang
 * needed.
 *
 *     fuzz_replay_NAME CORPUS_FOLDER
 *
 * Fails when the harness crashes, or when the folder holds no file: a corpus that vanished must not
 * pass for one that was replayed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 65536, CUTS_MAX = 512, EDGE_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long fed;

/* In memory of exactly its size, so that a read past the end is seen by a sanitizer. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL) {
        fprintf(stderr, "memory ran out\n");
        exit(1);
    }
    memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    fed++;
}

static void feed_variants(uint8_t *data, size_t size)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    size_t most = size < CUTS_MAX ? size : CUTS_MAX;
    feed(data, size);
    for (size_t cut = 0; cut < most; cut++) {
        feed(data, cut);
    }
    for (size_t at = 0; at < most; at++) {
        for (size_t i = 0; i < sizeof(changes); i++) {
            data[at] ^= changes[i];
            feed(data, size);
            data[at] ^= changes[i];
        }
    }
}

static int feed_folder(const char *folder)
{
    static uint8_t data[INPUT_MAX];
    DIR *list = opendir(folder);
    struct dirent *entry;
    int files = 0;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        char path[4096];
        FILE *file;
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        file = fopen(path, "rb");
        if (file != NULL) {
            feed_variants(data, fread(data, 1, sizeof(data), file));
            fclose(file);
            files++;
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    return files;
}

static void feed_edges(void)
{
    static uint8_t data[EDGE_MAX];
    feed(data, 0);
    for (unsigned first = 0; first < 256; first++) {
        data[0] = (uint8_t)first;
        feed(data, 1);
        memset(data + 1, 0xff, 7);
        feed(data, 8);
    }
    for (unsigned byte = 0; byte < 256; byte += 51) {
        memset(data, (int)byte, sizeof(data));
        feed(data, sizeof(data));
    }
}

int main(int argc, char **argv)
{
    int files;
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    files = feed_folder(argv[1]);
    feed_edges();
    printf("%d files of %s and the edges: %lu inputs\n", files, argv[1], fed);
    if (files == 0) {
        fprintf(stderr, "no file in %s\n", argv[1]);
        return 1;
    }
    return 0;
}
