#include "syncd/area.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/statefile.h"
#include "syncd/linux_beneath.h"
#include "syncd/linux_files.h"

static const char *const inside_name = ".duet~stage";

static int open_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Making it leaves the time of the directory above as it is: that is synced. */
static int make_in(int above, const char *name)
{
    struct stat before;
    const int there = open_directory(above, name);

    if (there >= 0)
        return there;
    if (fstat(above, &before) < 0 || (mkdirat(above, name, 0700) < 0 && errno != EEXIST))
        return -errno;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, before.st_mtim};
    futimens(above, times);
    const int made = open_directory(above, name);
    return made < 0 ? -errno : made;
}

static int parent_of(const char *root, char parent[PATH_MAX])
{
    text_copy(parent, PATH_MAX, root);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        const int r = make_directories(parent, 0755);
        if (r < 0)
            return r;
        fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

int area_open(int state, const char *root, struct area *area)
{
    char parent[PATH_MAX], beside[NAME_MAX + 1];
    uint64_t state_mount = 0, mount = 0;
    AUTO_CLOSE int above = parent_of(root, parent);

    *area = (struct area){.directories = {-1, -1, -1}};
    if (above < 0)
        return above;
    const char *name = strrchr(root, '/') + 1;
    AUTO_CLOSE int itself = open_directory(above, name);
    int made = make_in(state, "work");
    if (made < 0)
        return made;
    area->directories[AREA_STATE] = made;
    int r = mount_of(state, "", &state_mount);
    if (r == 0)
        r = mount_of(itself >= 0 ? itself : above, "", &mount);
    const bool same = r == 0 && mount == state_mount;
    area->chosen = same ? AREA_STATE : itself >= 0 ? AREA_INSIDE : AREA_BESIDE;
    snprintf(beside, sizeof beside, ".duet~%.*s", (int)sizeof beside - 8, name);
    if (itself >= 0)
        area->directories[AREA_INSIDE] =
            area->chosen == AREA_INSIDE ? make_in(itself, inside_name) : open_directory(itself, inside_name);
    area->directories[AREA_BESIDE] =
        area->chosen == AREA_BESIDE ? make_in(above, beside) : open_directory(above, beside);
    return MIN(area->directories[area->chosen], 0);
}

void area_close(struct area *area)
{
    for (size_t i = 0; i < AREA_KINDS; i++)
        if (area->directories[i] >= 0)
            close(area->directories[i]);
    *area = (struct area){.directories = {-1, -1, -1}};
}

int area_directory(const struct area *area)
{
    return area->directories[area->chosen];
}

int area_of(const struct area *area, const char *name)
{
    struct stat ignored;

    for (size_t i = 0; i < AREA_KINDS; i++)
        if (area->directories[i] >= 0 &&
            fstatat(area->directories[i], name, &ignored, AT_SYMLINK_NOFOLLOW) == 0)
            return area->directories[i];
    return area_directory(area);
}

const char *area_staged(struct sync_generation generation, uint32_t op, char name[static AREA_NAME_MAX])
{
    snprintf(name, AREA_NAME_MAX, "s-%" PRIu64 "-%" PRIu64 "-%" PRIu32, generation.epoch, generation.counter,
             op);
    return name;
}

static int sweep(int directory, bool (*keep)(void *userdata, const char *name), void *userdata)
{
    const int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = again < 0 ? NULL : fdopendir(again);
    int r = entries ? 0 : -errno;

    for (struct dirent *entry; r == 0 && (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !keep(userdata, entry->d_name))
            r = entry_erase(directory, entry->d_name);
    if (entries)
        closedir(entries);
    return r;
}

int area_sweep(const struct area *area, bool (*keep)(void *userdata, const char *name), void *userdata)
{
    int r = 0;

    for (size_t i = 0; i < AREA_KINDS && r == 0; i++)
        if (area->directories[i] >= 0)
            r = sweep(area->directories[i], keep, userdata);
    return r;
}
