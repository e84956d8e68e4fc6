#include "client/guard.h"

#include <string.h>

static bool is_own_host(const struct guard *guard, const char *host)
{
    return host && (strcmp(host, guard->hosts[0]) == 0 || strcmp(host, guard->hosts[1]) == 0);
}

/* The origin is the one under which the page was opened. */
static bool is_own_origin(const char *host, const char *origin)
{
    static const char scheme[] = "http://";

    return strncmp(origin, scheme, strlen(scheme)) == 0 && strcmp(origin + strlen(scheme), host) == 0;
}

/* Takes the same time wherever the two differ. */
static bool is_token(const struct guard *guard, const char *token)
{
    const size_t length = strlen(guard->token);
    unsigned char differs = length == 0 || strlen(token) != length;

    for (size_t i = 0; i < length && token[i] != '\0'; i++)
        differs |= (unsigned char)(guard->token[i] ^ token[i]);
    return !differs;
}

const char *guard_refuses(const struct guard *guard, const struct guard_request *request)
{
    if (!is_own_host(guard, request->host))
        return "this page has another name: open it by its own address";
    if (!request->changes)
        return NULL;
    if (request->origin && !is_own_origin(request->host, request->origin))
        return "the request comes from another site";
    if (request->fetch_site && strcmp(request->fetch_site, "same-origin") != 0)
        return "the request comes from another site";
    if (!request->token || !is_token(guard, request->token))
        return "the token is missing or old: load the page again";
    return NULL;
}
