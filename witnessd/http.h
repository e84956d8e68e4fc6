/* http: one request at a time to one of several servers, by libcurl, in the loop. */
#pragma once
#include "common/loop.h"

struct http;

struct http_settings {
    const char *ca_file; /* empty: what the system trusts */
    /* `error` NULL: the server answered, with `status` (HTTP) and a body of `size` bytes. Never called from
     * within http_post(). */
    void (*done)(void *userdata, long status, const char *body, size_t size, const char *error);
    void *userdata;
};

/* 0 or a negative errno; http_close() either way, before the loop is freed. */
int http_open(struct loop *loop, const struct http_settings *settings, struct http **http);
void http_close(struct http *http);

/* Connections made so far are not used again, and what is on its way fails: this node's addresses have
 * changed. True if something is on its way. */
bool http_renew(struct http *http);

/* `token` (empty: none) goes into the Authorization header; `body` is copied. One request must be done before
 * the next one. 0 or a negative errno: then `done` is not called. */
int http_post(struct http *http, const char *url, const char *token, const char *body, int64_t timeout_ns);
