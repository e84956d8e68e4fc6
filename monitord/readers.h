/* readers: which tools ask for too much. Pure.
 *
 * A tool is known by the name of its key. What it subscribes to or takes back costs this daemon work and
 * memory, and everything else a tool could send is dropped by libzmq. Who sends more than READER_FRAMES_MAX
 * such frames in READER_WINDOW is shut out for READER_BAR, whatever the number of its connections. */
#pragma once
#include "common/base.h"

enum { READERS_MAX = 256, READER_NAME_MAX = 64, READER_FRAMES_MAX = 2000 };
#define READER_WINDOW_NS (10 * NS_PER_S)
#define READER_BAR_NS (60 * NS_PER_S)

struct reader {
    char name[READER_NAME_MAX];
    int64_t window_ns, barred_until_ns; /* 0: none */
    int frames;                         /* since window_ns */
};

struct readers {
    size_t count;
    struct reader list[READERS_MAX];
};

/* Counts a frame of `name`. True if that makes it barred from now on. */
bool readers_count(struct readers *readers, const char *name, int64_t now_ns);

/* Bars the one with the most frames in its present window; its name, or NULL if there is none. */
const char *readers_bar_worst(struct readers *readers, int64_t now_ns);

bool readers_barred(const struct readers *readers, const char *name, int64_t now_ns);
