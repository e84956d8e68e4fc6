/*
 * The lab's hand inside an emulated machine: runs what it is asked for over a virtio-serial port, without
 * any network. Linked statically and without dependencies, so that it works in every machine that has a
 * kernel.
 *
 * All messages are lines, each led by an empty one, since a restart of the machine may tear a line in two:
 * what cannot be read is skipped. Bytes are written in hexadecimal, none as "-".
 *
 *     hello BOOT-ID                                 from here, once after each start
 *     run ID TIMEOUT-MS HEX-SCRIPT HEX-INPUT        to here: for /bin/sh, one at a time
 *     done ID CODE HEX-OUTPUT                       from here: 0-255, 128 + signal, or -1: killed, too late
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (4 << 20) /* what a command says beyond that is left out */

static void fail(const char *what)
{
    fprintf(stderr, "vmlab-agent: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---------------------------------------------------------------------- hex */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; returns the length, or -1. */
static ssize_t unhex(char *text)
{
    size_t length = strcmp(text, "-") == 0 ? 0 : strlen(text);

    if (length % 2)
        return -1;
    for (size_t i = 0; i < length; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        text[i / 2] = (char)(high << 4 | low);
    }
    text[length / 2] = '\0';
    return (ssize_t)(length / 2);
}

static void print_hex(FILE *out, const unsigned char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";

    if (length == 0)
        fputc('-', out);
    for (size_t i = 0; i < length; i++) {
        fputc(digits[bytes[i] >> 4], out);
        fputc(digits[bytes[i] & 15], out);
    }
}

/* ------------------------------------------------------------------ commands */

/* A file in memory that holds these bytes; a command may read it late, or fill it for as long as it likes. */
static int memory_file(const char *bytes, size_t length)
{
    int fd = memfd_create("vmlab", MFD_CLOEXEC);

    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)
        fail("memory file");
    return fd;
}

static void become_shell(const char *script, int input, int output)
{
    setsid();
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0)
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    _exit(127);
}

static int run(const char *script, int timeout_ms, int input, int output)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        fail("fork");
    if (pid == 0)
        become_shell(script, input, output);
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    if (ended.fd < 0)
        fail("pidfd_open");
    const bool late = poll(&ended, 1, timeout_ms) == 0;
    if (late)
        kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    close(ended.fd);
    if (late)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void answer(FILE *port, const char *id, int code, int output)
{
    struct stat st;

    if (fstat(output, &st) < 0)
        fail("output");
    const size_t length = st.st_size > OUTPUT_MAX ? OUTPUT_MAX : (size_t)st.st_size;
    void *bytes = length > 0 ? mmap(NULL, length, PROT_READ, MAP_PRIVATE, output, 0) : NULL;
    if (bytes == MAP_FAILED)
        fail("output");
    fprintf(port, "\ndone %s %d ", id, code);
    print_hex(port, bytes, length);
    fputc('\n', port);
    fflush(port);
    if (bytes)
        munmap(bytes, length);
}

static void obey(FILE *port, char *line)
{
    const char *verb = strtok(line, " "), *id = strtok(NULL, " "), *timeout = strtok(NULL, " ");
    char *script = strtok(NULL, " "), *input = strtok(NULL, " ");

    if (!input || strcmp(verb, "run") != 0)
        return;
    const ssize_t script_length = unhex(script), input_length = unhex(input);
    if (script_length < 0 || input_length < 0)
        return;
    const int in = memory_file(input, (size_t)input_length), out = memory_file("", 0);
    answer(port, id, run(script, atoi(timeout), in, out), out);
    close(in);
    close(out);
}

/* ---------------------------------------------------------------------- port */

static int open_port(const char *path)
{
    int fd;

    while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0) {
        if (errno != ENOENT && errno != EBUSY)
            fail(path);
        usleep(100 * 1000); /* the driver is not loaded yet, or an earlier agent lets go of it */
    }
    return fd;
}

static void say_hello(FILE *port)
{
    char id[64] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (!file || !fgets(id, sizeof id, file))
        fail("boot_id");
    fclose(file);
    fprintf(port, "\nhello %s\n", strtok(id, "\n"));
    fflush(port);
}

int main(int argc, char *argv[])
{
    char *line = NULL;
    size_t size = 0;

    if (argc != 2) {
        fputs("usage: vmlab-agent PORT\n", stderr);
        return 2;
    }
    const int fd = open_port(argv[1]);
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    if (!in || !out)
        fail(argv[1]);
    say_hello(out);
    for (;;) {
        const ssize_t length = getline(&line, &size, in);
        if (length < 0) { /* nobody is connected at the other end */
            clearerr(in);
            usleep(100 * 1000);
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        obey(out, line);
    }
}
