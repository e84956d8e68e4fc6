/* superviserd: guards the services of this node, and carries out its restart (DESIGN §9). */
#include <stdio.h>
#include <string.h>

#include "common/daemon.h"
#include "common/log.h"
#include "common/sys.h"
#include "superviserd/reboot.h"
#include "superviserd/recorder.h"
#include "superviserd/services.h"

static struct {
    struct daemon daemon;
    struct services *services;
    struct reboot *reboot;
    struct recorder *recorder;
} self;

static void on_role(void *userdata, const struct bus_message *message)
{
    (void)userdata;
    reboot_role(self.reboot, message->body, message->cause);
    services_role(self.services, message->body, message->cause);
}

static void on_command(void *userdata, const struct command_message *command, struct bus_answer *answer)
{
    (void)userdata;
    if (strcmp(command->command, "clear") != 0) {
        snprintf(answer->reply.error, sizeof answer->reply.error,
                 "superviserd knows no command '%s', only 'clear'", command->command);
        return;
    }
    const int failed = services_clear(self.services);
    log_notice("cleared by the operator; failed services: %d", failed);
    answer->reply.ok = true;
    snprintf(answer->reply.text, sizeof answer->reply.text, "failed services cleared: %d", failed);
}

static void on_stop(void *userdata)
{
    (void)userdata;
    services_stop(self.services);
}

static int open_own(void)
{
    int r = recorder_start(&self.daemon, &self.recorder);

    if (r < 0)
        log_error("cannot start the black box: %s; going on without", strerror(-r));
    r = services_new(&self.daemon, &self.services);
    if (r == 0)
        r = reboot_new(&self.daemon, &self.reboot);
    if (r == 0)
        r = bus_subscribe(self.daemon.bus, &role_type, "arbiterd", on_role, NULL);
    if (r < 0) {
        log_error("cannot set up the services: %s", strerror(-r));
        return r;
    }
    bus_on_command(self.daemon.bus, on_command, NULL);
    self.daemon.on_stop = on_stop;
    services_start(self.services);
    return 0;
}

int main(int argc, char **argv)
{
    int r = daemon_start(&self.daemon, "superviserd", SYS_EVERYTHING, argc, argv);

    if (r == 0)
        r = open_own();
    r = daemon_run(&self.daemon, r);
    recorder_stop(self.recorder);
    return r;
}
