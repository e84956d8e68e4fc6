/* A pidfile, a line of /proc, the note of a kept service: any bytes are refused or understood, none crashes.
 * The first byte says as what the rest is read. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "superviserd/procfs.h"
#include "superviserd/service_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_pidfile(const char *text, size_t size)
{
    int pid = 0;

    if (procfs_parse_pidfile(text, size, &pid) == 0)
        assert(pid >= 2 && pid <= PROCFS_PID_MAX);
}

static void read_stat(const char *text, size_t size)
{
    struct procfs_stat stat;

    if (procfs_parse_stat(text, size, &stat) == 0) {
        assert(stat.pid > 0 && stat.started_ticks >= 0 && strlen(stat.name) < sizeof stat.name);
        procfs_is_called(&stat, "/bin/x", text, size, stat.name);
    }
}

static void read_record(const char *text, size_t size)
{
    struct service_record record, again;
    char whole[STATEFILE_MAX], printed[STATEFILE_MAX], reprinted[STATEFILE_MAX];

    if (size >= sizeof whole)
        return;
    memcpy(whole, text, size);
    whole[size] = '\0';
    if (service_record_parse(whole, &record) < 0)
        return;
    service_record_print(&record, printed);
    assert(service_record_parse(printed, &again) == 0);
    service_record_print(&again, reprinted);
    assert(strcmp(printed, reprinted) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *, size_t) = {read_pidfile, read_stat, read_record};

    if (size == 0)
        return 0;
    /* A copy of just that size, so that a byte read beyond it is seen. */
    char *text = malloc(size - 1);
    memcpy(text, data + 1, size - 1);
    readers[data[0] % ARRAY_LENGTH(readers)](text, size - 1);
    free(text);
    return 0;
}
