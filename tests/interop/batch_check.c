/* Checks the batch that is in the file FILE, as the engine checks a client's; prints the error's
 * wire name, and when it is ok, one line for each record (offset, time, key, value, headers, as
 * segment_write does), and writes the batch, stamped with base offset 500, leader epoch 3 and time
 * 99000, to FILE.stamped. */
#include "tests/interop/record_print.h"

enum { FILE_BYTES_MAX = 1 << 20 };

static void records_print(weir_bytes batch, const weir_batch_head *head)
{
    size_t position = WEIR_BATCH_HEAD_BYTES, used;
    weir_record record;
    while (position < batch.len &&
           weir_batch_record_decode(batch, head, position, &record, &used) == WEIR_OK) {
        record_print(record);
        position += used;
    }
}

static int stamped_write(uint8_t *batch, size_t len, const char *path)
{
    char name[4096];
    (void)snprintf(name, sizeof(name), "%s.stamped", path);
    weir_batch_stamp(batch, len, 500, 3, 99000);
    FILE *file = fopen(name, "wb");
    if (file == NULL) {
        return 1;
    }
    size_t wrote = fwrite(batch, 1, len, file);
    return fclose(file) == 0 && wrote == len ? 0 : 1;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        (void)fprintf(stderr, "usage: batch_check FILE\n");
        return 2;
    }
    weir_bytes batch = {bytes, fread(bytes, 1, sizeof(bytes), file)};
    (void)fclose(file);
    weir_batch_head head;
    const char *reason;
    weir_err err = weir_batch_check(batch, &head, NULL, 0);
    if (err == WEIR_OK) {
        err = weir_batch_check_client(batch, FILE_BYTES_MAX, 64, &reason);
    }
    (void)printf("%s\n", weir_err_name(err));
    if (err != WEIR_OK) {
        return 0;
    }
    records_print(batch, &head);
    return stamped_write(bytes, batch.len, argv[1]);
}
