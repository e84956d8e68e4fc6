/* screen: a terminal on which one page is drawn again and again, without flicker.
 *
 * The page goes to the terminal's other screen, so that what was there before comes back at the end. A frame
 * is written over the one before, in one go: each line and then the rest of the page is erased behind what is
 * new, and never the whole screen. Lines that do not fit are cut, not wrapped. A signal that ends the process
 * (SIGINT, SIGTERM, SIGHUP) is held back until screen_close() has put the terminal in order. */
#pragma once
#include <stdio.h>

#include "common/base.h"

/* `out` is a terminal. One at a time. */
void screen_open(FILE *out);

/* Shows `text`, lines that end with a newline. */
void screen_draw(const char *text);

/* Whether a signal asked for the end. */
bool screen_is_ended(void);

/* Back to what was there before; then the signal that asked for the end takes its effect. */
void screen_close(void);
