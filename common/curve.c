#include "common/curve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

static_assert(CURVE_BYTES == crypto_box_PUBLICKEYBYTES && CURVE_BYTES == crypto_box_SECRETKEYBYTES, "CURVE");

void curve_print(const uint8_t key[static CURVE_BYTES], char text[static CURVE_TEXT_MAX])
{
    zmq_z85_encode(text, key, CURVE_BYTES);
}

static size_t skip(const char **line, size_t size, const char *these)
{
    while (size > 0 && **line != '\0' && strchr(these, **line))
        (*line)++, size--;
    return size;
}

/* The value of a line `NAME = "VALUE"`: what stands between the quotes, or the whole word. A key may begin
 * with '=' itself. */
static bool take_value(const char *line, size_t size, const char *name, char text[static CURVE_TEXT_MAX])
{
    static const char around[] = " \t\r'\"";
    const size_t name_size = strlen(name);

    size = skip(&line, size, " \t");
    if (size < name_size || memcmp(line, name, name_size) != 0)
        return false;
    line += name_size, size -= name_size;
    size = skip(&line, size, " \t");
    if (size == 0 || *line != '=')
        return false;
    line++, size--;
    size = skip(&line, size, around);
    while (size > 0 && line[size - 1] != '\0' && strchr(around, line[size - 1]))
        size--;
    if (size != CURVE_TEXT_MAX - 1)
        return false;
    memcpy(text, line, size);
    text[size] = '\0';
    return memchr(text, '\0', size) == NULL;
}

/* zmq_z85_decode() takes letters that are none for others in some releases; so it is asked whether it goes
 * back. */
static bool decode(const char text[static CURVE_TEXT_MAX], uint8_t key[static CURVE_BYTES])
{
    char again[CURVE_TEXT_MAX];

    if (!zmq_z85_decode(key, text))
        return false;
    curve_print(key, again);
    const bool same = strcmp(again, text) == 0;
    sodium_memzero(again, sizeof again);
    return same;
}

static bool find_key(const char *text, size_t size, const char *name, uint8_t key[static CURVE_BYTES])
{
    char value[CURVE_TEXT_MAX];
    bool found = false;

    while (size > 0 && !found) {
        const char *end = memchr(text, '\n', size);
        const size_t length = end ? (size_t)(end - text) : size;
        found = take_value(text, length, name, value) && decode(value, key);
        text += length + (end ? 1 : 0);
        size -= length + (end ? 1 : 0);
    }
    sodium_memzero(value, sizeof value);
    return found;
}

int curve_parse(const char *text, size_t size, bool secret, struct curve_pair *pair)
{
    uint8_t open[CURVE_BYTES];

    *pair = (struct curve_pair){0};
    if (!find_key(text, size, "public-key", pair->open))
        return -EBADMSG;
    if (!secret)
        return 0;
    if (!find_key(text, size, "secret-key", pair->secret) ||
        crypto_scalarmult_base(open, pair->secret) != 0 || memcmp(open, pair->open, sizeof open) != 0) {
        sodium_memzero(pair->secret, sizeof pair->secret);
        return -ENOKEY;
    }
    return 0;
}

int curve_read(const char *path, bool secret, struct curve_pair *pair)
{
    char text[CURVE_FILE_MAX];
    struct stat st;
    int fd AUTO_CLOSE = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *pair = (struct curve_pair){0};
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (secret && ((st.st_mode & 077) != 0 || (st.st_uid != 0 && st.st_uid != geteuid())))
        return -EACCES;
    const ssize_t n = read(fd, text, sizeof text);
    const int r = n < 0 ? -errno : curve_parse(text, (size_t)n, secret, pair);
    sodium_memzero(text, sizeof text);
    return r;
}
