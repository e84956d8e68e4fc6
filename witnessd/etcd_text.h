/* etcd_text: the words of etcd's JSON gateway (API v3: kv/txn, auth/authenticate), as text. Pure.
 *
 * The pair's record is the value of one key: {"holder": NODE, "epoch": N, "stamp": HEX}. Keys and values
 * travel in base64, numbers as text, as the gateway does it. */
#pragma once
#include "witnessd/ballot.h"

enum { ETCD_TEXT_MAX = 4096, ETCD_TOKEN_MAX = 512, ETCD_ERROR_MAX = 128 };

/* The body of the request; the caller frees it. NULL: out of memory. */
char *etcd_print_question(const struct ballot_question *question, const char *node, const char *key);
char *etcd_print_login(const char *user, const char *password);

/* What came back. 0; -EBADMSG with `error`: it is not what etcd answers, or the record is none of duet's;
 * -EACCES with `error`: the token is needed, or is not valid any more; -EREMOTEIO with `error`: etcd's own
 * words. */
int etcd_parse_answer(const char *text, size_t size, const struct ballot_question *question,
                      struct ballot_answer *answer, char error[static ETCD_ERROR_MAX]);
int etcd_parse_token(const char *text, size_t size, char token[static ETCD_TOKEN_MAX],
                     char error[static ETCD_ERROR_MAX]);
