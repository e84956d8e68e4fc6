/* sync_text: the state of the sync sets for people. */
#pragma once
#include "common/model.h"
#include "cli/text.h"

/* The lines `sync` of `duet status`; with `details`, all that there is to know. */
void sync_text(const struct paper *paper, const struct model *model, int64_t now_ns, bool details);

/* One line that is written over itself: files, bytes, rate, time left. */
void sync_progress(const struct paper *paper, const char *name, const struct data_set_message *set,
                   int64_t now_ns);
void sync_progress_end(const struct paper *paper);
