#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

/* ---- remarks */

static void add_remark(struct import *import, enum remark_kind kind, int line, const char *text)
{
    if ((import->remark_count & (import->remark_count - 1)) == 0) { /* full at each power of two */
        const size_t room = MAX(2 * import->remark_count, 16);
        struct remark *more = realloc(import->remarks, room * sizeof *more);
        if (!more) {
            import->out_of_memory = true;
            return;
        }
        import->remarks = more;
    }
    struct remark *remark = &import->remarks[import->remark_count++];
    *remark = (struct remark){.line = line, .kind = kind};
    text_copy(remark->text, sizeof remark->text, text);
}

void import_tell(struct import *import, enum remark_kind kind, int line, const char *format, ...)
{
    char text[IMPORT_REMARK_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add_remark(import, kind, line, text);
}

static void mark_told(struct statement *first)
{
    for (struct statement *s = first; s; s = s->next) {
        s->fate = FATE_TOLD;
        mark_told(s->block);
    }
}

void import_tell_statement(struct import *import, enum remark_kind kind, struct statement *statement,
                           const char *format, ...)
{
    char text[IMPORT_REMARK_MAX];
    va_list arguments;

    /* What could be a secret is not shown. */
    const bool secret = strcmp(statement->words[0], "auth_pass") == 0;
    int n = snprintf(text, sizeof text, "%.40s%s%.60s%s: ", statement->words[0],
                     statement->word_count > 1 && !secret ? " " : "",
                     statement->word_count > 1 && !secret ? statement->words[1] : "",
                     statement->word_count > 2 && !secret ? " ..." : "");
    va_start(arguments, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, arguments);
    va_end(arguments);
    add_remark(import, kind, statement->line, text);
    statement->fate = FATE_TOLD;
    mark_told(statement->block);
}

/* ---- instances and groups */

static bool is_tracking(const char *word)
{
    return strcmp(word, "track_script") == 0 || strcmp(word, "track_process") == 0;
}

static void convert_instance(struct import *import, struct statement *all, struct statement *instance)
{
    const char *name = instance->word_count > 1 ? instance->words[1] : "instance",
               *device = import_value_of(instance, "interface");

    instance->fate = FATE_USED;
    if (!device) {
        import_tell(import, REMARK_LEFT_OUT, instance->line, "vrrp_instance %.40s names no interface", name);
        device = "";
    }
    for (struct statement *s = instance->block; s; s = s->next) {
        const char *word = s->words[0];
        if (strcmp(word, "interface") == 0)
            s->fate = FATE_USED;
        else if (strcmp(word, "virtual_ipaddress") == 0 || strcmp(word, "virtual_ipaddress_excluded") == 0)
            import_addresses(import, s, device, name);
        else if (is_tracking(word))
            import_tracked(import, all, s);
        else if (!import_notify(import, s, "INSTANCE", name))
            import_judge(import, s, PLACE_INSTANCE);
    }
    import_unicast(import, instance, device, name);
}

static void convert_group(struct import *import, struct statement *all, struct statement *group)
{
    group->fate = FATE_USED;
    for (struct statement *s = group->block; s; s = s->next) {
        if (is_tracking(s->words[0]))
            import_tracked(import, all, s);
        else if (!import_notify(import, s, "GROUP", group->word_count > 1 ? group->words[1] : "group"))
            import_judge(import, s, PLACE_GROUP);
    }
}

static void convert_globals(struct import *import, struct statement *globals)
{
    globals->fate = FATE_USED;
    for (struct statement *s = globals->block; s; s = s->next) {
        if (strcmp(s->words[0], "script_user") == 0 && s->word_count > 1) {
            s->fate = FATE_USED;
            text_copy(import->script_user, sizeof import->script_user, s->words[1]);
            text_copy(import->script_group, sizeof import->script_group,
                      s->word_count > 2 ? s->words[2] : "");
        } else {
            import_judge(import, s, PLACE_GLOBALS);
        }
    }
}

/* ---- instances that were not one */

static bool in_group(const struct statement *group, const char *name)
{
    for (const struct statement *s = group->block; s; s = s->next)
        for (const struct statement *member = strcmp(s->words[0], "group") == 0 ? s->block : NULL; member;
             member = member->next)
            for (size_t i = 0; i < member->word_count; i++)
                if (strcmp(member->words[i], name) == 0)
                    return true;
    return false;
}

static bool is_grouped(const struct statement *all, const char *name)
{
    for (const struct statement *s = all; s; s = s->next)
        if (strcmp(s->words[0], "vrrp_sync_group") == 0 && in_group(s, name))
            return true;
    return false;
}

static void tell_apart(struct import *import, const struct statement *all)
{
    const char *state = NULL;
    size_t instances = 0;

    for (const struct statement *s = all; s; s = s->next)
        instances += strcmp(s->words[0], "vrrp_instance") == 0;
    for (const struct statement *s = all; s; s = s->next) {
        if (strcmp(s->words[0], "vrrp_instance") != 0)
            continue;
        const char *name = s->word_count > 1 ? s->words[1] : "", *own = import_value_of(s, "state");
        if (instances > 1 && !is_grouped(all, name))
            import_tell(import, REMARK_NOTE, s->line,
                        "vrrp_instance %.40s moved alone; in duet all channels move together", name);
        if (state && own && strcmp(state, own) != 0)
            import_tell(import, REMARK_NOTE, s->line,
                        "vrrp_instance %.40s is %.20s, another one %.20s: the two nodes shared the load. In "
                        "duet one node "
                        "serves all",
                        name, own, state);
        state = own ? own : state;
    }
}

/* ---- the whole */

static void tell_missing(struct import *import)
{
    if (import->peer[0] == '\0')
        import_tell(import, REMARK_FILL_IN, 0, "the name of the other node: --peer-name NAME");
    if (import->reserved[0].family == 0)
        import_tell(import, REMARK_FILL_IN, 0,
                    "the reserved line, if there is one (sync needs it): --reserved-address OWN,PEER");
    for (size_t i = 0; i < import->channel_count; i++)
        if (import->channels[i].router_count == 0)
            import_tell(
                import, REMARK_FILL_IN, 0,
                "a router of channel %s, whose answer proves that the channel works: --router ADDRESS",
                import->channels[i].name);
    if (import->channel_count == 0)
        import_tell(import, REMARK_FILL_IN, 0,
                    "a channel: no vrrp_instance with an interface and an address was found");
}

static void tell_rest(struct import *import, struct statement *first)
{
    for (struct statement *s = first; s; s = s->next) {
        if (s->fate == FATE_OPEN)
            import_tell_statement(import, REMARK_LEFT_OUT, s, "%s",
                                  s->words[0][0] == '@'
                                      ? "lines for some configurations only are not chosen: leave in "
                                        "what holds for this node, and import again"
                                      : "it has no counterpart that is known");
        tell_rest(import, s->block);
    }
}

int import_convert(struct keepalived *file, const struct net_address *routers, size_t router_count,
                   struct import *import)
{
    for (struct statement *s = file->first; s; s = s->next)
        if (strcmp(s->words[0], "global_defs") == 0)
            convert_globals(import, s);
    for (struct statement *s = file->first; s; s = s->next) {
        if (strcmp(s->words[0], "vrrp_instance") == 0)
            convert_instance(import, file->first, s);
        else if (strcmp(s->words[0], "vrrp_sync_group") == 0)
            convert_group(import, file->first, s);
        else if (s->fate == FATE_OPEN)
            import_judge(import, s, PLACE_TOP);
    }
    import_reserved(import);
    for (struct statement *s = file->first; s; s = s->next)
        if (strcmp(s->words[0], "vrrp_instance") == 0 || strcmp(s->words[0], "vrrp_sync_group") == 0)
            import_late(import, s);
    import_passive(import);
    import_routers(import, routers, router_count);
    tell_apart(import, file->first);
    import_untracked(import, file->first);
    tell_rest(import, file->first);
    tell_missing(import);
    return import->out_of_memory ? -ENOMEM : 0;
}

void import_free(struct import *import)
{
    free(import->remarks);
    import->remarks = NULL;
    import->remark_count = 0;
}
