/* superviserd: guards the services of this node, runs the hooks of its role, feeds its watchdog, and carries
 * out its restart (DESIGN §9). */
#include <stdio.h>
#include <string.h>

#include "common/daemon.h"
#include "common/log.h"
#include "common/sys.h"
#include "superviserd/fence.h"
#include "superviserd/hooks.h"
#include "superviserd/reboot.h"
#include "superviserd/recorder.h"
#include "superviserd/services.h"
#include "superviserd/watchdog.h"

static struct {
    struct daemon daemon;
    struct services *services;
    struct hooks *hooks;
    struct fence *fence;
    struct reboot *reboot;
    struct watchdog *watchdog;
    struct recorder *recorder;
} self;

static void on_role(void *userdata, const struct bus_message *message)
{
    (void)userdata;
    watchdog_role(self.watchdog, message->body);
    hooks_role(self.hooks, message->body, message->cause); /* first: addresses may wait for them */
    fence_role(self.fence, message->body);
    reboot_role(self.reboot, message->body, message->cause);
    services_role(self.services, message->body, message->cause);
}

static void on_address(void *userdata, const struct bus_message *message)
{
    (void)userdata;
    reboot_address(self.reboot, message->body);
    services_address(self.services, message->body, message->cause);
}

static void on_traps(void *userdata, const struct bus_message *message)
{
    (void)userdata;
    reboot_traps(self.reboot, message->body);
}

static void on_command(void *userdata, const struct command_message *command, struct bus_answer *answer)
{
    (void)userdata;
    if (strcmp(command->command, "clear") != 0) {
        snprintf(answer->reply.error, sizeof answer->reply.error,
                 "superviserd knows no command '%s', only 'clear'", command->command);
        return;
    }
    const int failed = services_clear(self.services), hooks = hooks_clear(self.hooks);
    reboot_clear(self.reboot);
    log_notice("cleared by the operator; failed services: %d, hooks: %d", failed, hooks);
    answer->reply.ok = true;
    snprintf(answer->reply.text, sizeof answer->reply.text, "failed services cleared: %d%s", failed,
             hooks > 0 ? ", and the failed hooks" : "");
}

static bool check(void *userdata, const struct config *next, char *text, size_t size)
{
    (void)userdata;
    return services_check(self.services, next, text, size) && hooks_check(self.hooks, next, text, size);
}

static int reload(void *userdata, const struct config *before, char *text, size_t size)
{
    (void)userdata;
    watchdog_reload(self.watchdog);
    hooks_reload(self.hooks, before);
    return services_reload(self.services, text, size);
}

static void stop_services(void *userdata)
{
    services_stop(userdata);
}

static void on_stop(void *userdata)
{
    (void)userdata;
    watchdog_stopping(self.watchdog);
    hooks_stop(self.hooks, stop_services, self.services);
}

static void on_end(void *userdata)
{
    (void)userdata;
    watchdog_let_go(self.watchdog, reboot_left_ns(self.reboot));
    services_close(self.services);
}

static void open_recorder(void)
{
    const int r = recorder_start(&self.daemon, &self.recorder);

    if (r < 0)
        log_error("cannot start the black box: %s; going on without", strerror(-r));
}

static int open_own(void)
{
    /* First: a restarted one must be in time to feed it. */
    int r = watchdog_new(&self.daemon, &self.watchdog);

    open_recorder();
    if (r == 0)
        r = services_new(&self.daemon, &self.services);
    if (r == 0)
        r = hooks_new(&self.daemon, &self.hooks);
    if (r == 0)
        r = fence_new(&self.daemon, &self.fence);
    if (r == 0)
        r = reboot_new(&self.daemon, self.watchdog, self.recorder, &self.reboot);
    if (r == 0)
        r = bus_subscribe(self.daemon.bus, &role_type, "arbiterd", on_role, NULL);
    if (r == 0)
        r = bus_subscribe(self.daemon.bus, &address_type, "takeoverd", on_address, NULL);
    if (r == 0)
        r = bus_subscribe(self.daemon.bus, &trap_type, "trapd", on_traps, NULL);
    if (r < 0) {
        log_error("cannot set up services and hooks: %s", strerror(-r));
        return r;
    }
    bus_on_command(self.daemon.bus, on_command, NULL);
    self.daemon.reload = (struct daemon_reload){check, reload, NULL};
    self.daemon.on_stop = on_stop;
    self.daemon.on_end = on_end;
    services_start(self.services);
    return 0;
}

int main(int argc, char **argv)
{
    int r = daemon_start(&self.daemon, "superviserd", SYS_EVERYTHING | SYS_BEHIND, argc, argv);

    if (r == 0)
        r = open_own();
    r = daemon_run(&self.daemon, r);
    recorder_stop(self.recorder);
    return r;
}
