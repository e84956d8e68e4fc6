#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sys.h"

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int own_folder(char folder[static PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);

    if (n < 0)
        return -errno;
    folder[n] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    return 0;
}

int program_find(const char *daemon, char path[static PATH_MAX])
{
    char folder[PATH_MAX];
    int r = own_folder(folder);

    if (r < 0)
        return r;
    const struct {
        const char *root, *below;
    } places[] = {{folder, ""}, {folder, "/.."}, {folder, "/../libexec/duet"}, {DUET_LIBEXECDIR, ""}};
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        /* In a build tree each program lies in a folder of its own name. */
        int n = snprintf(path, PATH_MAX, "%s%s/%s", places[i].root, places[i].below, daemon);
        if (n < PATH_MAX && is_program(path))
            return 0;
        n = snprintf(path, PATH_MAX, "%s%s/%s/%s", places[i].root, places[i].below, daemon, daemon);
        if (n < PATH_MAX && is_program(path))
            return 0;
    }
    text_copy(path, PATH_MAX, folder);
    return -ENOENT;
}

static void become(char *const argv[], int output_fd)
{
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(output_fd, STDOUT_FILENO) >= 0 &&
        dup2(output_fd, STDERR_FILENO) >= 0)
        execv(argv[0], argv);
}

/* The child tells by a pipe that closes on exec why it could not become the program. */
static int hear_of_failure(int pid, int report_fd)
{
    int failure = 0;
    ssize_t n;

    do
        n = read(report_fd, &failure, sizeof failure);
    while (n < 0 && errno == EINTR);
    if (n != sizeof failure)
        return pid;
    waitpid(pid, NULL, 0);
    return -failure;
}

int program_start(char *const argv[], int output_fd)
{
    const int parent = getpid();
    int report[2];

    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    AUTO_CLOSE const int reading = report[0];
    const int pid = fork();
    if (pid == 0) {
        int failure = -sys_die_with_parent(SIGTERM);
        if (failure == 0 && getppid() == parent) { /* else the parent was gone before it could be noticed */
            become(argv, output_fd);
            failure = errno;
        }
        if (write(report[1], &failure, sizeof failure) < 0)
            _exit(126);
        _exit(127);
    }
    const int failure = errno;
    close(report[1]);
    return pid < 0 ? -failure : hear_of_failure(pid, reading);
}
