#include "cli/screen.h"

#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The other screen, without cursor, without wrapping; and back. */
static const char enter[] = "\033[?1049h\033[?25l\033[?7l";
static const char leave[] = "\033[?7h\033[?25h\033[?1049l";

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static FILE *terminal;
static volatile sig_atomic_t ended_by;

static void on_signal(int signal)
{
    ended_by = signal;
}

void screen_open(FILE *out)
{
    struct sigaction action = {.sa_handler = on_signal};

    terminal = out;
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
        sigaction(signals[i], &action, NULL);
    fputs(enter, terminal);
    fflush(terminal);
}

static unsigned rows(void)
{
    struct winsize size = {0};

    return ioctl(fileno(terminal), TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row : 24;
}

void screen_draw(const char *text)
{
    unsigned left = rows();

    fputs("\033[H", terminal);
    for (; *text && left > 0; left--) {
        const size_t length = strcspn(text, "\n");
        fwrite(text, 1, length, terminal);
        fputs("\033[K", terminal);
        text += length + (text[length] == '\n');
        if (*text && left > 1) /* not behind the last row: that would scroll */
            fputs("\n", terminal);
    }
    fputs("\033[J", terminal);
    fflush(terminal);
}

bool screen_is_ended(void)
{
    return ended_by != 0;
}

void screen_close(void)
{
    fputs(leave, terminal);
    fflush(terminal);
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
        signal(signals[i], SIG_DFL);
    if (ended_by)
        raise(ended_by);
}
