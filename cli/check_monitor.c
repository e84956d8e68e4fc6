#include "cli/check_monitor.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "common/curve.h"

static const char *remedy(int error)
{
    switch (error) {
    case -EACCES:
        return "others than its owner, or not this user, can read it; run: chmod 600 (and chown root)";
    case -ENOENT:
        return "it does not exist; make it on each node with: duet keygen --monitor FILE";
    case -EBADMSG:
    case -ENOKEY:
        return "there is no key pair in it; make one with: duet keygen --monitor FILE";
    default:
        return strerror(-error);
    }
}

static int check_key(const struct config *config)
{
    struct curve_pair pair;
    const int r = curve_read(config->monitor.key_file, true, &pair);

    sodium_memzero(&pair, sizeof pair);
    if (r == 0)
        return 0;
    fprintf(stderr, "%s: warning: nobody can listen at the monitor: key-file %s: %s\n", config->file,
            config->monitor.key_file, remedy(r));
    return 1;
}

static int check_clients(const struct config *config)
{
    struct stat st;

    if (stat(config->monitor.clients, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    fprintf(stderr,
            "%s: warning: nobody can listen at the monitor: there is no directory %s; make it, and put the "
            "public "
            "key of each tool into it (duet keygen --client NAME)\n",
            config->file, config->monitor.clients);
    return 1;
}

int check_monitor(const struct config *config)
{
    return config->monitor.listen[0] == '\0' ? 0 : check_key(config) + check_clients(config);
}
