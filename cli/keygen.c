#include "cli/keygen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "common/curve.h"

/* Both halves of a CURVE key pair, in the certificates of CZMQ. */
static const char certificate[] = "# A key pair of ZeroMQ's CURVE%s\n\nmetadata\ncurve\n";

static int sync_directory_of(const char *file)
{
    char *copy AUTO_FREE = strdup(file);
    int fd AUTO_CLOSE = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_key(int fd, const void *nothing)
{
    unsigned char key[CONFIG_KEY_BYTES];
    ssize_t n;

    (void)nothing;
    if (sodium_init() < 0)
        return -EIO;
    randombytes_buf(key, sizeof key);
    do
        n = write(fd, key, sizeof key);
    while (n < 0 && errno == EINTR);
    const int error = n == sizeof key ? 0 : n < 0 ? -errno : -ENOSPC;
    sodium_memzero(key, sizeof key);
    return error;
}

/* Writes what `write` has into a file that was not there before, for good. */
static int make_file(const char *file, unsigned mode, int (*write)(int fd, const void *what),
                     const void *what)
{
    int fd AUTO_CLOSE = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    int r = write(fd, what);
    if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
        r = -errno;
    if (r == 0)
        r = sync_directory_of(file);
    if (r < 0)
        unlink(file);
    return r;
}

static const char *remedy(int error)
{
    switch (error) {
    case -EEXIST:
        return "; a key in use is not overwritten: move it away first, or name another file";
    case -ENOENT:
        return "; make the directory first";
    case -EACCES:
    case -EPERM:
        return "; run this as root";
    default:
        return "";
    }
}

int keygen(const char *file)
{
    const int r = make_file(file, 0600, write_key, NULL);

    if (r < 0) {
        fprintf(stderr, "cannot make the key file %s: %s%s\n", file, strerror(-r), remedy(r));
        return EXIT_FAILURE;
    }
    printf("made %s (%d random bytes, mode 600)\n"
           "Copy it to the same place on the other node, with the same mode, on a way that you trust:\n"
           "    scp -p %s root@PEER:%s\n"
           "Whoever has it can speak for a node of this cluster.\n",
           file, CONFIG_KEY_BYTES, file, file);
    return EXIT_SUCCESS;
}

/* ---------------------------------------------------------------- key pairs of the monitor */

static int write_public(int fd, const void *what)
{
    const struct curve_pair *pair = what;
    char text[CURVE_TEXT_MAX];

    curve_print(pair->open, text);
    if (dprintf(fd, certificate, ", the public half") < 0 ||
        dprintf(fd, "    public-key = \"%s\"\n", text) < 0)
        return -errno;
    return 0;
}

static int write_secret(int fd, const void *what)
{
    const struct curve_pair *pair = what;
    char open[CURVE_TEXT_MAX], secret[CURVE_TEXT_MAX];

    curve_print(pair->open, open);
    curve_print(pair->secret, secret);
    const int n = dprintf(fd, certificate, ": keep it secret");
    const int m = dprintf(fd, "    public-key = \"%s\"\n    secret-key = \"%s\"\n", open, secret);
    const int r = n < 0 || m < 0 ? -errno : 0;
    sodium_memzero(secret, sizeof secret);
    return r;
}

/* The two names that follow from the one that was given, whichever of the three it is. */
static int pair_names(const char *file, char open[static PATH_MAX], char secret[static PATH_MAX])
{
    static const char *const endings[] = {".key_secret", ".key"};
    size_t length = strlen(file);

    for (size_t i = 0; i < ARRAY_LENGTH(endings); i++)
        if (length > strlen(endings[i]) && strcmp(file + length - strlen(endings[i]), endings[i]) == 0) {
            length -= strlen(endings[i]);
            break;
        }
    if (length + sizeof ".key_secret" > PATH_MAX)
        return -ENAMETOOLONG;
    snprintf(open, PATH_MAX, "%.*s.key", (int)length, file);
    snprintf(secret, PATH_MAX, "%.*s.key_secret", (int)length, file);
    return 0;
}

static int make_pair(const char *open, const char *secret, const char **failed)
{
    struct curve_pair pair;

    *failed = secret;
    if (sodium_init() < 0 || crypto_box_keypair(pair.open, pair.secret) != 0)
        return -EIO;
    int r = access(open, F_OK) == 0 ? -EEXIST : 0;
    if (r == 0)
        r = make_file(secret, 0600, write_secret, &pair);
    else
        *failed = open;
    if (r == 0 && (r = make_file(open, 0644, write_public, &pair)) < 0) {
        *failed = open;
        unlink(secret);
    }
    sodium_memzero(&pair, sizeof pair);
    return r;
}

static const char monitor_next[] =
    "%1$s is this node's own, named by key-file in the monitor section. Every tool that "
    "listens needs %2$s.\n";
static const char client_next[] =
    "Copy %2$s into the clients directory of both nodes (/etc/duet/monitor-clients): it "
    "admits the tool.\nThe tool keeps %1$s to itself, and needs the monitor.key of "
    "each node, too.\n";

int keygen_pair(const char *file, bool client)
{
    char open[PATH_MAX], secret[PATH_MAX];
    const char *failed = file;
    int r = pair_names(file, open, secret);

    if (r == 0)
        r = make_pair(open, secret, &failed);
    if (r < 0) {
        fprintf(stderr, "cannot make the key file %s: %s%s\n", failed, strerror(-r), remedy(r));
        return EXIT_FAILURE;
    }
    printf("made %s (secret, mode 600) and %s (public)\n", secret, open);
    printf(client ? client_next : monitor_next, secret, open);
    return EXIT_SUCCESS;
}
