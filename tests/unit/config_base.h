/* One good configuration as text, and the reading of edited copies of it, for the tests of the configuration.
 * Include after cmocka. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"

static const char base[] = "cluster \"gate\" {\n"                                                /*  1 */
                           "    profile = lan\n"                                                 /*  2 */
                           "}\n"                                                                 /*  3 */
                           "node \"alpha\" { reserved-address = \"10.91.9.1\" }\n"               /*  4 */
                           "node \"beta\" { reserved-address = \"10.91.9.2\" }\n"                /*  5 */
                           "channel \"outside\" {\n"                                             /*  6 */
                           "    device = \"eth0\"\n"                                             /*  7 */
                           "    active-address = {\"203.0.113.10/24\"}\n"                        /*  8 */
                           "    router = {\"203.0.113.1\"}\n"                                    /*  9 */
                           "    node \"alpha\" { passive-address = {\"203.0.113.11/24\"} }\n"    /* 10 */
                           "    node \"beta\" { passive-address = {\"203.0.113.12/24\"} }\n"     /* 11 */
                           "}\n"                                                                 /* 12 */
                           "channel \"inside\" {\n"                                              /* 13 */
                           "    device = \"eth1\"\n"                                             /* 14 */
                           "    active-address = {\"192.0.2.1/24\"}\n"                           /* 15 */
                           "}\n"                                                                 /* 16 */
                           "route \"default\" { via = \"203.0.113.1\" channel = \"outside\" }\n" /* 17 */
                           "service \"vpn\" {\n"                                                 /* 18 */
                           "    command = {\"/usr/sbin/openvpn\"}\n"                             /* 19 */
                           "    when = active\n"                                                 /* 20 */
                           "}\n"                                                                 /* 21 */
                           "sync \"config\" { path = {\"/etc/openvpn\"} }\n";                    /* 22 */

#define CLUSTER "    profile = lan\n"
#define IN_SERVICE "    when = active\n"

/* The base with its only `from` replaced; the caller frees. */
static inline char *edited(const char *from, const char *to)
{
    const char *at = strstr(base, from);
    char *text;

    assert_non_null(at);
    assert_null(strstr(at + 1, from));
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - base), base, to, at + strlen(from)) > 0);
    return text;
}

struct result {
    int r;
    struct config *config;
    char *errors;
};

static inline struct result read_for(const char *text, const char *node)
{
    struct result result;
    size_t size;
    FILE *out = open_memstream(&result.errors, &size);

    assert_non_null(out);
    result.r = config_read_text("f.conf", text, node, out, &result.config);
    fclose(out);
    return result;
}

static inline void result_free(struct result *result)
{
    config_free(result->config);
    free(result->errors);
}
