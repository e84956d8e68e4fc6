/* What belongs to the daemons' users under systemd goes to root under `duet run`. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/belongings.h"

enum { SOMEBODY = 12345, GROUP = 12346 };

static char folder[] = "/tmp/belongings-XXXXXX";
static char run_dir[PATH_MAX], state_dir[PATH_MAX];

static const char *at(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void directory(const char *name, uid_t user, mode_t mode)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
    assert_int_equal(chown(at(name), user, GROUP), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void file(const char *name, uid_t user)
{
    const int fd = open(at(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fchown(fd, user, GROUP), 0);
    close(fd);
}

static void assert_owner(const char *name, uid_t user, mode_t mode)
{
    struct stat info;

    assert_int_equal(lstat(at(name), &info), 0);
    assert_int_equal(info.st_uid, user);
    assert_int_equal(info.st_gid, GROUP);
    assert_int_equal(info.st_mode & 07777, mode);
}

/* As the units leave it: arbiterd's is somebody's, syncd's is root's, with a file of somebody's that it
 * keeps. */
static int set_up(void **unused)
{
    (void)unused;
    if (geteuid() != 0)
        return 0;
    assert_non_null(mkdtemp(folder));
    snprintf(run_dir, sizeof run_dir, "%s/run", folder);
    snprintf(state_dir, sizeof state_dir, "%s/state", folder);
    static const char *const directories[] = {"run", "run/bus", "run/ctl", "state", "state/syncd"};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        directory(directories[i], 0, 0755);
    directory("run/bus/arbiterd", SOMEBODY, 02750);
    directory("run/ctl/arbiterd", SOMEBODY, 02750);
    directory("state/arbiterd", SOMEBODY, 0750);
    file("state/arbiterd/state", SOMEBODY);
    file("state/syncd/kept", SOMEBODY);
    file("run/takeoverd.lease", SOMEBODY);
    return 0;
}

static int clean_up(void **unused)
{
    char command[PATH_MAX + 8];

    (void)unused;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return geteuid() == 0 ? system(command) : 0;
}

static int bound(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    text_copy(address.sun_path, sizeof address.sun_path, at("run/bus/arbiterd/pub"));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chown(address.sun_path, SOMEBODY, GROUP), 0);
    return fd;
}

static void test_nothing_is_taken_from_one_that_works(void **unused)
{
    const char *daemon = NULL;

    (void)unused;
    if (geteuid() != 0)
        skip();
    const int fd = bound();
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(belongings_take(run_dir, state_dir, &daemon), -EBUSY);
    assert_string_equal(daemon, "arbiterd");
    assert_owner("run/bus/arbiterd", SOMEBODY, 02750);
    assert_owner("state/arbiterd/state", SOMEBODY, 0600);
    close(fd); /* its socket stays behind, as after a kill -9 */
}

static void test_what_is_left_behind_is_taken(void **unused)
{
    const char *daemon;

    (void)unused;
    if (geteuid() != 0)
        skip();
    assert_int_equal(belongings_take(run_dir, state_dir, &daemon), 0);
    assert_owner("run/bus/arbiterd", 0, 02750);
    assert_owner("run/ctl/arbiterd", 0, 02750);
    assert_owner("state/arbiterd", 0, 0750);
    assert_owner("state/arbiterd/state", 0, 0600);
    assert_owner("run/takeoverd.lease", 0, 0600);
    assert_owner("state/syncd/kept", SOMEBODY,
                 0600); /* root's folder: what it keeps there is as it is to be */
    assert_int_equal(belongings_take(run_dir, state_dir, &daemon), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_taken_from_one_that_works),
        cmocka_unit_test(test_what_is_left_behind_is_taken),
    };
    return cmocka_run_group_tests(tests, set_up, clean_up);
}
