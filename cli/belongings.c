#include "cli/belongings.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/model.h"

enum { DESCRIPTORS = 8 };

static bool belongs_to_another(const char *path)
{
    struct stat info;

    return lstat(path, &info) == 0 && info.st_uid != geteuid();
}

static bool answers(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    text_copy(address.sun_path, sizeof address.sun_path, socket_path);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

static const char *who_works(const char *run_dir)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < MODEL_DAEMONS; i++) {
        snprintf(path, sizeof path, "%s/bus/%s/pub", run_dir, model_daemons[i]);
        if (belongs_to_another(path) && answers(path))
            return model_daemons[i];
    }
    return NULL;
}

static int take_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    return lchown(path, geteuid(), (gid_t)-1) < 0 && errno != ENOENT ? -errno : 0;
}

/* The group stays: it says who may read the bus and give orders. */
static int take(const char *path)
{
    const int r = belongs_to_another(path) ? nftw(path, take_one, DESCRIPTORS, FTW_PHYS | FTW_MOUNT) : 0;

    return r == -1 ? -errno : r;
}

int belongings_take(const char *run_dir, const char *state_dir, const char **daemon)
{
    char path[PATH_MAX];

    if (geteuid() != 0)
        return 0;
    *daemon = who_works(run_dir);
    if (*daemon)
        return -EBUSY;
    snprintf(path, sizeof path, "%s/takeoverd.lease", run_dir);
    int r = take(path);
    for (size_t i = 0; i < MODEL_DAEMONS && r == 0; i++) {
        const char *const places[][2] = {{run_dir, "/bus"}, {run_dir, "/ctl"}, {state_dir, ""}};
        for (size_t k = 0; k < ARRAY_LENGTH(places) && r == 0; k++) {
            snprintf(path, sizeof path, "%s%s/%s", places[k][0], places[k][1], model_daemons[i]);
            r = take(path);
        }
    }
    return r;
}
