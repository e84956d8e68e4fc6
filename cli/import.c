#include "cli/import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

enum { FILE_SIZE_MAX = 1 << 20, ROUTERS_MAX = 32 };

struct request {
    const char *file, *peer, *cluster, *reserved, *key_file, *prefix;
    struct net_address routers[ROUTERS_MAX];
    size_t router_count;
};

static int take_routers(struct invocation *invocation, struct request *request)
{
    const char *text;
    int r;

    while ((r = command_take_value(invocation, "--router", &text)) > 0) {
        struct net_address *router = &request->routers[request->router_count];
        if (request->router_count == ROUTERS_MAX || net_address_parse(text, router) < 0 ||
            strchr(text, '/')) {
            command_error(invocation,
                          "--router %s: write one address, such as 192.0.2.1 (at most %d of them)", text,
                          ROUTERS_MAX);
            return -EINVAL;
        }
        request->router_count++;
    }
    return r;
}

static int take_request(struct invocation *invocation, struct request *request)
{
    if (command_take_value(invocation, "--peer-name", &request->peer) < 0 ||
        command_take_value(invocation, "--cluster", &request->cluster) < 0 ||
        command_take_value(invocation, "--reserved-address", &request->reserved) < 0 ||
        command_take_value(invocation, "--key-file", &request->key_file) < 0 ||
        command_take_value(invocation, "--prefix", &request->prefix) < 0 ||
        take_routers(invocation, request) < 0)
        return -EINVAL;
    if (invocation->argc != 1) {
        command_error(invocation, "needs one file, such as /etc/keepalived/keepalived.conf; see duet(8)");
        return -EINVAL;
    }
    request->file = invocation->argv[0];
    return 0;
}

/* "OWN,PEER" */
static int take_reserved(const char *text, struct import *import)
{
    char own[ADDRESS_TEXT_MAX];
    const char *comma = strchr(text, ',');

    if (!comma || (size_t)(comma - text) >= sizeof own)
        return -EINVAL;
    text_copy(own, (size_t)(comma - text) + 1, text);
    if (net_address_parse(own, &import->reserved[0]) < 0 ||
        net_address_parse(comma + 1, &import->reserved[1]) < 0)
        return -EINVAL;
    return import->reserved[0].family == import->reserved[1].family && !strchr(text, '/') ? 0 : -EINVAL;
}

static bool is_name(const char *text)
{
    char name[CONFIG_NAME_MAX];

    import_name(text, "", name);
    return text[0] != '\0' && strcmp(text, name) == 0;
}

static int apply(const struct invocation *invocation, const struct request *request, struct import *import)
{
    const struct {
        const char *what, *name, *fallback;
        char *to;
    } names[] = {{"--node", invocation->options.node, "", import->own},
                 {"--peer-name", request->peer, "", import->peer},
                 {"--cluster", request->cluster, "gate", import->cluster}};

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        const char *name = names[i].name ? names[i].name : names[i].fallback;
        if (names[i].name && !is_name(name)) {
            command_error(invocation, "%s %s: a name has 1 to 31 letters, digits, '-', '_' and '.'",
                          names[i].what, name);
            return -EINVAL;
        }
        text_copy(names[i].to, CONFIG_NAME_MAX, name);
    }
    if (strcmp(import->own, import->peer) == 0) {
        command_error(invocation,
                      "both nodes would be called %s; name this one with --node, the other with --peer-name",
                      import->own);
        return -EINVAL;
    }
    if (request->reserved && take_reserved(request->reserved, import) < 0) {
        command_error(invocation,
                      "--reserved-address %s: write this node's and the peer's, such as 10.0.0.1,10.0.0.2",
                      request->reserved);
        return -EINVAL;
    }
    import->prefix = request->prefix ? atoi(request->prefix) : 0;
    if (request->prefix && (import->prefix < 1 || import->prefix > 32)) {
        command_error(invocation, "--prefix %s: write a length from 1 to 32, such as 24", request->prefix);
        return -EINVAL;
    }
    text_copy(import->key_file, sizeof import->key_file, request->key_file ? request->key_file : "");
    return 0;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *in = fopen(path, "re");
    char *text = in ? malloc(FILE_SIZE_MAX + 1) : NULL;

    if (text) {
        *size = fread(text, 1, FILE_SIZE_MAX + 1, in);
        if (ferror(in) || *size > FILE_SIZE_MAX) {
            errno = ferror(in) ? EIO : EFBIG;
            free(text);
            text = NULL;
        }
    }
    if (in)
        fclose(in);
    return text;
}

static int convert(const struct invocation *invocation, const struct request *request, struct import *import)
{
    struct keepalived file;
    size_t size = 0;
    char *text AUTO_FREE = read_file(request->file, &size);

    if (!text) {
        command_error(invocation, "cannot read %s: %s", request->file, strerror(errno));
        return COMMAND_REFUSED;
    }
    int r = keepalived_parse(text, size, &file);
    if (r == -EINVAL)
        fprintf(stderr, "%s:%d: %s\n", request->file, file.error_line, file.error);
    if (r == 0)
        r = import_convert(&file, request->routers, request->router_count, import);
    if (r == -ENOMEM)
        command_error(invocation, "out of memory");
    if (r == 0) {
        import_print(import, request->file, stdout);
        import_print_remarks(import, request->file, stderr);
    }
    keepalived_free(&file);
    return r < 0 || fflush(stdout) != 0 ? COMMAND_REFUSED : COMMAND_DONE;
}

int import_command(struct invocation *invocation)
{
    struct request request = {0};
    struct import *import = calloc(1, sizeof *import);
    int code = COMMAND_USAGE;

    if (!import)
        return COMMAND_REFUSED;
    if (take_request(invocation, &request) == 0 && apply(invocation, &request, import) == 0)
        code = convert(invocation, &request, import);
    import_free(import);
    free(import);
    return code;
}
