/* directives: the lines of an SNMP configuration file (snmpd.conf(5)) that name sinks: trapsink, trap2sink,
 * informsink, trapsess, trapcommunity, and createUser for the users of SNMPv3. All others belong to snmpd and
 * are left alone. What a line says in detail is read by Net-SNMP's own code (session.h). Pure. */
#pragma once
#include "common/base.h"

enum directive_kind {
    DIRECTIVE_TRAPSINK,
    DIRECTIVE_TRAP2SINK,
    DIRECTIVE_INFORMSINK,
    DIRECTIVE_TRAPSESS,
    DIRECTIVE_KINDS
};

enum { DIRECTIVE_WORDS_MAX = 32, DIRECTIVE_BYTES_MAX = 1024, DIRECTIVES_MAX = 16, DIRECTIVE_USERS_MAX = 16 };

struct directive {
    enum directive_kind kind;
    int line;
    size_t word_count;
    uint16_t at[DIRECTIVE_WORDS_MAX]; /* of each word in `bytes` */
    char bytes[DIRECTIVE_BYTES_MAX];  /* the words, each with its NUL */
    char community[64];               /* the trapcommunity in force there */
};

struct directives {
    size_t count, user_count;
    struct directive sinks[DIRECTIVES_MAX];
    struct {
        int line;
        char text[DIRECTIVE_BYTES_MAX]; /* what follows createUser */
    } users[DIRECTIVE_USERS_MAX];
};

/* What is wrong: `line`, and in words what, and what would be right. */
typedef void directive_problem(void *userdata, int line, const char *text);

/* All of a file's text; every mistake is told. The number of mistakes. The caller wipes `directives`: it
 * holds secrets. */
int directives_parse(const char *text, size_t size, struct directives *directives, directive_problem *problem,
                     void *userdata);

static inline const char *directive_word(const struct directive *directive, size_t n)
{
    return directive->bytes + directive->at[n];
}
