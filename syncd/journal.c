#include "syncd/journal.h"

#include "syncd/linux_files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>

static const uint64_t magic = UINT64_C(0x6475657473796e63);
enum { VERSION = 1, EARLY_BYTES = 1 << 20 };

struct header {
    uint64_t magic, version, sequence, hash;
};

struct record_header {
    uint32_t size, kind;
    uint64_t hash;
};

struct journal {
    int fd;
    uint64_t sequence;
    uint64_t end, chain;
    uint64_t early; /* up to here the kernel was asked to begin writing */
};

static uint64_t header_hash(const struct header *header)
{
    return XXH3_64bits_withSeed(header, offsetof(struct header, hash), magic);
}

static uint64_t record_hash(uint64_t chain, uint32_t kind, const void *bytes, size_t size)
{
    const uint64_t parts[] = {size, kind, XXH3_64bits_withSeed(bytes, size, chain)};

    return XXH3_64bits_withSeed(parts, sizeof parts, chain);
}

static uint64_t padded(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

/* All of it, or it is not there. */
static int read_at(int fd, void *bytes, size_t size, uint64_t at)
{
    const long got = file_read(fd, bytes, size, at);

    return got < 0 ? (int)got : (size_t)got < size ? -ENODATA : 0;
}

static void start(struct journal *journal, const struct header *header)
{
    journal->sequence = header->sequence;
    journal->end = journal->early = JOURNAL_FIRST;
    journal->chain = header->hash;
}

static int write_header(struct journal *journal, uint64_t sequence)
{
    struct header header = {.magic = magic, .version = VERSION, .sequence = sequence};

    header.hash = header_hash(&header);
    const int r = file_write(journal->fd, &header, sizeof header, 0);
    if (r == 0)
        start(journal, &header);
    return r;
}

static int make_ready(int fd)
{
    static const uint8_t zeros[1 << 16];
    struct stat now;
    int r = fstat(fd, &now) < 0 ? -errno : 0;

    for (uint64_t at = r == 0 ? (uint64_t)now.st_size : 0; at < JOURNAL_READY && r == 0; at += sizeof zeros)
        r = file_write(fd, zeros, sizeof zeros, at);
    return r;
}

int journal_reset(struct journal *journal, uint64_t sequence)
{
    struct stat now;
    int r = fstat(journal->fd, &now) < 0 ? -errno : 0;

    if (r == 0 && now.st_size > JOURNAL_KEPT && ftruncate(journal->fd, JOURNAL_READY) < 0)
        r = -errno;
    if (r == 0)
        r = make_ready(journal->fd);
    if (r == 0)
        r = write_header(journal, sequence);
    return r == 0 && fdatasync(journal->fd) < 0 ? -errno : r;
}

int journal_open_file(int fd, struct journal **journal)
{
    struct journal *j = malloc(sizeof *j);
    struct header header;

    if (!j)
        return -ENOMEM;
    *j = (struct journal){.fd = fd};
    *journal = j;
    const int r = read_at(fd, &header, sizeof header, 0);
    if (r < 0 && r != -ENODATA)
        return r;
    if (r < 0 || header.magic != magic || header.version != VERSION || header.hash != header_hash(&header)) {
        start(j, &(struct header){0});
        return -EUCLEAN;
    }
    start(j, &header);
    return 0;
}

/* A new one is made whole before it has its name. */
static int make(int directory, const char *name)
{
    static const char temporary[] = "journal.new";
    AUTO_CLOSE int fd = openat(directory, temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct journal journal = {.fd = fd};
    int r = fd < 0 ? -errno : journal_reset(&journal, 0);

    if (r == 0 && renameat(directory, temporary, directory, name) < 0)
        r = -errno;
    return r == 0 && fsync(directory) < 0 ? -errno : r;
}

int journal_open(int directory, const char *name, struct journal **journal)
{
    int fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    *journal = NULL;
    if (fd < 0 && errno == ENOENT) {
        const int r = make(directory, name);
        if (r < 0)
            return r;
        fd = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0)
        return -errno;
    const int r = journal_open_file(fd, journal);
    if (!*journal)
        close(fd);
    return r;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    free(journal);
}

uint64_t journal_sequence(const struct journal *journal)
{
    return journal->sequence;
}

int journal_read(const struct journal *journal, const struct journal_record *record, uint8_t *bytes)
{
    return read_at(journal->fd, bytes, record->size, record->at);
}

int journal_next(struct journal *journal, struct journal_record *record)
{
    struct record_header header;
    int r = read_at(journal->fd, &header, sizeof header, journal->end);

    if (r == -ENODATA)
        return 0;
    if (r < 0)
        return r;
    if (header.kind == 0 || header.size > JOURNAL_RECORD_MAX)
        return 0;
    *record = (struct journal_record){header.kind, header.size, journal->end + sizeof header};
    AUTO_FREE uint8_t *bytes = malloc(header.size + 1);
    r = bytes ? journal_read(journal, record, bytes) : -ENOMEM;
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    if (record_hash(journal->chain, header.kind, bytes, header.size) != header.hash)
        return 0;
    journal->chain = header.hash;
    journal->end = journal->early = record->at + padded(header.size);
    return 1;
}

int journal_append(struct journal *journal, uint32_t kind, const void *bytes, size_t size,
                   struct journal_record *record)
{
    struct record_header header = {.size = (uint32_t)size, .kind = kind};

    if (size > JOURNAL_RECORD_MAX || kind == 0)
        return -EMSGSIZE;
    header.hash = record_hash(journal->chain, kind, bytes, size);
    int r = size > 0 ? file_write(journal->fd, bytes, size, journal->end + sizeof header) : 0;
    if (r == 0)
        r = file_write(journal->fd, &header, sizeof header, journal->end);
    if (r < 0)
        return r;
    if (record)
        *record = (struct journal_record){kind, (uint32_t)size, journal->end + sizeof header};
    journal->chain = header.hash;
    journal->end += sizeof header + padded(size);
    if (journal->end - journal->early >= EARLY_BYTES) {
        sync_file_range(journal->fd, (off_t)journal->early, (off_t)(journal->end - journal->early),
                        SYNC_FILE_RANGE_WRITE);
        journal->early = journal->end;
    }
    return 0;
}

int journal_sync(const struct journal *journal)
{
    return fdatasync(journal->fd) < 0 ? -errno : 0;
}

struct journal_mark journal_mark(const struct journal *journal)
{
    return (struct journal_mark){journal->end, journal->chain};
}

void journal_return(struct journal *journal, const struct journal_mark *mark)
{
    journal->end = journal->early = mark->end;
    journal->chain = mark->chain;
}
