#include "superviserd/fence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "superviserd/command.h"

enum { OUTPUT_BURST = 200 }; /* lines in ten seconds */

struct fence {
    struct daemon *daemon;
    struct fence_message view;     /* the topic `fence` */
    struct config_strings command; /* with the peer's name in it */
    struct process *process;
    struct loop_source *deadline;
    bool late;
    char last_line[sizeof((struct fence_message *)0)->text];
    struct log_limit output_log;
};

static void publish(struct fence *f)
{
    const int r = bus_publish(f->daemon->bus, &fence_type, NULL, &f->view, NULL);

    if (r < 0)
        log_error("cannot publish fence: %s", strerror(-r));
}

static void end(struct fence *f, bool well, const char *text)
{
    const int64_t now = clock_now_ns();

    f->process = NULL;
    loop_stop_timer(f->deadline);
    f->view.state = well ? FENCE_STATE_DONE : FENCE_STATE_FAILED;
    f->view.took_ms = (now - f->view.at_ns) / NS_PER_MS;
    snprintf(f->view.text, sizeof f->view.text, "%.60s%s%.100s",
             f->late ? "it took too long, and was killed" : text, f->last_line[0] ? "; it printed: " : "",
             f->last_line);
    if (well)
        log_notice("the fencing command succeeded after %lld ms", (long long)f->view.took_ms);
    else
        log_error("the fencing command failed after %lld ms: %s", (long long)f->view.took_ms, f->view.text);
    publish(f);
}

static void on_started(void *userdata, int pid)
{
    (void)userdata;
    log_notice("the fencing command is process %d", pid);
}

static void on_start_failed(void *userdata, const char *text)
{
    end(userdata, false, text);
}

static void on_ended(void *userdata, const struct process_end *e)
{
    struct fence *f = userdata;

    end(f, e->well && !f->late, e->text);
}

static void on_output(void *userdata, const char *line)
{
    struct fence *f = userdata;

    text_copy(f->last_line, sizeof f->last_line, line);
    if (log_allowed(&f->output_log, OUTPUT_BURST))
        log_info("fence: %s", line);
}

static void on_deadline(void *userdata, int64_t now_ns)
{
    struct fence *f = userdata;

    (void)now_ns;
    f->late = true;
    process_kill(f->process);
}

static void start(struct fence *f, const struct role_message *role)
{
    static const struct command_user own;
    const struct command_role words = {f->daemon->node, role->role, role->epoch, NULL};
    const struct process_handlers handlers = {on_started, on_start_failed, on_ended, on_output, f};
    char error[PROCESS_TEXT_MAX];

    f->late = false;
    f->last_line[0] = '\0';
    f->view =
        (struct fence_message){.state = FENCE_STATE_RUNNING, .number = role->fence, .at_ns = clock_now_ns()};
    publish(f);
    loop_set_timer(f->deadline, f->view.at_ns + f->daemon->config->fence.timeout);
    if (command_start(f->daemon->loop, &f->command, &own, &words, NULL, &handlers, &f->process, error) < 0)
        end(f, false, error);
}

void fence_role(struct fence *f, const struct role_message *role)
{
    if (f->command.count == 0 || role->fence == 0 || f->process || f->view.number == role->fence)
        return;
    start(f, role);
}

/* `word` with each {peer} replaced. NULL: out of memory. */
static char *fill_in(const char *word, const char *peer)
{
    static const char place[] = "{peer}";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    for (const char *found; (found = strstr(word, place)); word = found + strlen(place))
        fprintf(out, "%.*s%s", (int)(found - word), word, peer);
    fputs(word, out);
    return fclose(out) == 0 ? text : NULL;
}

static int fill_in_command(struct fence *f)
{
    const struct config *config = f->daemon->config;
    const struct config_strings *words = &config->fence.command;

    f->command.items = calloc(words->count + 1, sizeof *f->command.items);
    if (!f->command.items)
        return -ENOMEM;
    for (; f->command.count < words->count; f->command.count++) {
        f->command.items[f->command.count] =
            fill_in(words->items[f->command.count], config->nodes[!config->self].name);
        if (!f->command.items[f->command.count])
            return -ENOMEM;
    }
    return 0;
}

int fence_new(struct daemon *daemon, struct fence **fence)
{
    struct fence *f = calloc(1, sizeof *f);

    *fence = f;
    if (!f)
        return -ENOMEM;
    f->daemon = daemon;
    int r = fill_in_command(f);
    if (r == 0)
        r = loop_add_timer(daemon->loop, on_deadline, f, &f->deadline);
    publish(f);
    return r;
}
