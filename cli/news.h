/* news: the latest state of each topic, to tell what the next message changes, and to show that in a line. */
#pragma once
#include "cli/text.h"
#include "proto/topics.h"

struct news;

/* NULL if memory is out; the caller frees with news_free(), which ignores NULL. */
struct news *news_new(void);
void news_free(struct news *news);

/* Writes what stands at the head of a line, before the topic. */
typedef void news_lead(void *userdata, const struct paper *paper, const struct envelope *envelope);

/* Shows what a message changes, in one line; nothing if it is a mere renewal (changes.h). 0, or -EBADMSG when
 * it cannot be read, with the reason in `error`. */
int news_show(struct news *news, const struct paper *paper, const char *topic, const char *json, size_t size,
              news_lead *lead, void *userdata, char error[static CODEC_ERROR_MAX]);

/* Takes a message in without showing it. */
int news_take(struct news *news, const char *topic, const char *json, size_t size);
