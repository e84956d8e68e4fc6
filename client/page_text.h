/* page_text: the HTML of the page. */
#pragma once
#include <stdio.h>

#include "client/view.h"

/* The whole page. `nonce` allows its own style and script, `token` goes into its forms. */
void page_print(FILE *out, const struct view *view, const char *token, const char *nonce, int64_t now_ns);

/* What changes of it, which its script loads anew each second. */
void page_print_state(FILE *out, const struct view *view, const char *token, int64_t now_ns);
