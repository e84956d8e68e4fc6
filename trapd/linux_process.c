#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trapd/process.h"

static int spawn(const char *argument, int socket, pid_t *pid)
{
    static char name[] = "trapd";
    char *const argv[] = {name, (char *)argument, NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const int r = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

int process_start(const char *argument, struct process *process)
{
    int ends[2];
    pid_t pid;

    *process = (struct process){.socket = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    const int r = spawn(argument, ends[1], &pid);
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    *process = (struct process){.pid = pid, .socket = ends[0]};
    return 0;
}

int process_socket(const struct process *process)
{
    return process->socket;
}

int process_send(const struct process *process, const void *bytes, size_t size)
{
    return send(process->socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size ? 0 : -errno;
}

long process_receive(const struct process *process, void *bytes, size_t room)
{
    const ssize_t size = recv(process->socket, bytes, room, MSG_DONTWAIT);

    return size < 0 ? -errno : (long)size;
}

void process_end(struct process *process)
{
    if (process->pid > 0) {
        close(process->socket);
        kill(process->pid, SIGKILL);
        while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    *process = (struct process){.socket = -1};
}
