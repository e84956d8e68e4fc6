#include "cli/reaper.h"

#include <sys/wait.h>

static bool is_among(const int own[], size_t count, int pid)
{
    for (size_t i = 0; i < count; i++)
        if (own[i] == pid)
            return true;
    return false;
}

int reaper_collect(const int own[], size_t count)
{
    int collected = 0;

    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
            is_among(own, count, info.si_pid) ||
            waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG) < 0)
            return collected;
        collected++;
    }
}
