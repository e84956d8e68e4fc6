/* tools: what the lab's packet programs share. They stand outside duet on purpose: they link nothing of it,
 * so that no fault of duet's own code can hide itself from them. All points in time are CLOCK_BOOTTIME in
 * nanoseconds, the clock of duet's messages, so that both can be laid side by side. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct sock_fprog;

int64_t tool_now_ns(void);

/* Ends the program with `text` and the error of the last system call on stderr. */
_Noreturn void tool_fail(const char *text, const char *what);

/* Takes "--name value" options out of argv into texts[]: names[i] goes to texts[i]; unknown ones and missing
 * values end the program with `usage`. */
void tool_options(int argc, char **argv, const char *usage, size_t count, const char *const names[],
                  const char *texts[]);

/* A number above zero, or the end of the program. */
int64_t tool_number(const char *name, const char *text);

/* From now on SIGTERM and SIGINT set tool_stopped and SIGUSR1 sets tool_asked; neither restarts system calls.
 */
extern volatile bool tool_stopped, tool_asked;
void tool_catch_signals(void);

/* Says on stdout that from now on signals are heeded and nothing is missed. */
void tool_ready(void);

/* SCHED_RR, if allowed, above all that is observed: a client is another machine, and does not wait for the
 * processors of the gateway's. A stalled observer would see outages of its own. */
void tool_enter_realtime(void);

/* A packet socket on `device` for one EtherType, with kernel receive stamps. `filter` may be NULL. Ends the
 * program on failure; `mac` gets the device's own address, if not NULL. */
int tool_open_packet(const char *device, int type, uint16_t ether_type, const struct sock_fprog *filter,
                     uint8_t mac[6], int *index);

/* One packet without waiting: its size, or -1 if there is none. `at_ns` is when the kernel received it; `mac`
 * its sender; `type` is PACKET_OUTGOING and the like. */
struct tool_packet {
    int64_t at_ns;
    uint8_t mac[6];
    int type;
};
long tool_receive(int fd, void *bytes, size_t size, struct tool_packet *packet);

/* Waits until `fd` can be read, a signal came, or it is `until_ns`. */
void tool_wait(int fd, int64_t until_ns);

enum { TOOL_MAC_TEXT = 18 };
void tool_mac_print(const uint8_t mac[6], char text[static TOOL_MAC_TEXT]);
