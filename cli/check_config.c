#include "cli/check_config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/check_monitor.h"
#include "cli/program.h"
#include "common/config.h"
#include "common/watchdog_times.h"

enum {
    QUICK_PROBES = 20, /* unanswered, after router-retries (DESIGN R6) */
    TERMS_MAX = 6,
    LABEL_WIDTH = 32,
};

/* What a message between daemons, netlink and the announcement take, on a machine that is not overloaded. */
static const int64_t allowance_ns = 10 * NS_PER_MS;
static const char allowance[] = "network and kernel";

/* A sum whose terms have names. */
struct term {
    const char *name;
    int64_t times, ns; /* ns: of one */
};
struct sum {
    size_t count;
    struct term terms[TERMS_MAX];
};

static void add_times(struct sum *sum, int64_t times, const char *name, int64_t ns)
{
    if (times > 0)
        sum->terms[sum->count++] = (struct term){name, times, ns};
}

static void add(struct sum *sum, const char *name, int64_t ns)
{
    add_times(sum, 1, name, ns);
}

static int64_t total(const struct sum *sum)
{
    int64_t ns = 0;

    for (size_t i = 0; i < sum->count; i++)
        ns += sum->terms[i].times * sum->terms[i].ns;
    return ns;
}

/* "outage      370ms = detection 360ms + network and kernel 10ms" */
static void print_sum(const char *what, const struct sum *sum)
{
    char text[DURATION_TEXT_MAX];

    duration_print(total(sum), text);
    printf("%-9s %8s", what, text);
    for (size_t i = 0; i < sum->count; i++) {
        duration_print(sum->terms[i].ns, text);
        printf(i == 0 ? " = " : " + ");
        if (sum->terms[i].times != 1)
            printf("%" PRId64 " x ", sum->terms[i].times);
        printf("%s %s", sum->terms[i].name, text);
    }
    printf("\n");
}

static void print_row(const char *fault, const struct sum *detection, const struct sum *outage)
{
    printf("  %-*s ", LABEL_WIDTH, fault);
    print_sum("detected", detection);
    printf("  %-*s ", LABEL_WIDTH, "");
    print_sum("outage", outage);
}

/* The usual case: what serves is gone from the first moment until the peer serves. */
static void print_fault(const char *fault, const struct sum *detection)
{
    struct sum outage = {0};

    add(&outage, "detection", total(detection));
    add(&outage, allowance, allowance_ns);
    print_row(fault, detection, &outage);
}

static void print_unbounded(const char *fault, const char *why)
{
    printf("  %-*s %s\n", LABEL_WIDTH, fault, why);
}

/* ---- the faults */

/* The witness is asked when the silence is noticed, and its record has to stand unchanged. */
static int64_t witness_ns(const struct config_timers *timers)
{
    return timers->heartbeat_interval * 3 / 2 + timers->isolation_after * 9 / 8;
}

static void add_takeover(struct sum *sum, const struct config *config)
{
    const struct config_timers *timers = &config->timers;
    const bool witness = config_has_witness(config);

    if (witness && witness_ns(timers) > timers->takeover_after) {
        add(sum, "one and a half heartbeat-interval", timers->heartbeat_interval * 3 / 2);
        add(sum, "nine eighths of isolation-after", timers->isolation_after * 9 / 8);
    } else {
        add(sum, "takeover-after", timers->takeover_after);
    }
    if (witness) /* each question is given up after that */
        add_times(sum, 2, "the witness's answer", timers->isolation_after / 2);
    if (config->fence.command.count > 0 && !witness)
        add(sum, "timeout of the fence", config->fence.timeout);
    add(sum, "heartbeat-interval", timers->heartbeat_interval);
    add(sum, "search-interval-quick", timers->search_interval_quick);
}

static void print_power_off(const struct config *config)
{
    struct sum detection = {0};

    add_takeover(&detection, config);
    print_fault("power off", &detection);
}

/* The kernel tells of a carrier at once; the offer waits for a heartbeat that is newer than the loss. */
static void print_carrier_lost(const struct config_timers *timers)
{
    struct sum detection = {0};

    add(&detection, "heartbeat-interval", timers->heartbeat_interval);
    print_fault("carrier lost on one channel", &detection);
}

static bool has_routers(const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (config->channels[i].routers.count > 0)
            return true;
    return false;
}

static void print_router_silent(const struct config *config)
{
    const struct config_timers *timers = &config->timers;
    struct sum detection = {0};

    if (!has_routers(config)) {
        print_unbounded("router silent on one side", "not detected: no channel names a router");
        return;
    }
    /* It fell silent right after an answer: the first request without one is sent an interval later. */
    add_times(&detection, timers->router_retries + 1, "router-interval", timers->router_interval);
    add_times(&detection, QUICK_PROBES, "router-interval-quick", timers->router_interval_quick);
    add(&detection, "heartbeat-interval", timers->heartbeat_interval);
    print_fault("router silent on one side", &detection);
}

static void print_hung(const struct config *config)
{
    struct sum detection = {0}, outage = {0};

    add(&detection, "address-lease", config->timers.address_lease);
    add_takeover(&detection, config);
    add_takeover(&outage, config); /* it serves as long as its lease lasts */
    add(&outage, allowance, allowance_ns);
    print_row("arbiterd or heartbeatd hangs", &detection, &outage);
}

/* What restarts the node itself, whoever serves meanwhile. */
static void print_watchdog(const struct config *config)
{
    const int64_t timeout = config->watchdog.timeout;
    struct sum by_itself = {0}, by_others = {0};

    if (config->watchdog.device[0] == '\0') {
        print_unbounded("kernel hangs for good",
                        "as power off; the node stays as it is: no watchdog is configured");
        return;
    }
    add(&by_itself, "watchdog timeout", timeout);
    add(&by_others, "silence", watchdog_silence_ns(timeout));
    add(&by_others, "watchdog timeout", timeout);
    printf("  %-*s ", LABEL_WIDTH, "kernel or superviserd hangs");
    print_sum("restarts", &by_itself);
    printf("  %-*s ", LABEL_WIDTH, "another daemon hangs for good");
    print_sum("restarts", &by_others);
}

/* The kernel ends it: by its gate with the lease, or by the addresses' lifetime, which is the lease in whole
 * seconds, looked at each second. */
static void add_silence(struct sum *sum, const struct config *config)
{
    if (config->lease_gate) {
        add(sum, "address-lease", config->timers.address_lease);
        return;
    }
    add(sum, "lifetime of the addresses", config->timers.address_lease / NS_PER_S * NS_PER_S);
    add(sum, "the kernel's own pace", NS_PER_S);
}

static void print_killed(const struct config *config)
{
    struct sum detection = {0}, outage = {0};

    add_silence(&detection, config);
    add_takeover(&detection, config);
    add_takeover(&outage, config);
    add(&outage, allowance, allowance_ns);
    print_row("all of duet killed or stopped", &detection, &outage);
}

static bool asks_anywhere(const struct config *config)
{
    for (size_t i = 0; i < config->channel_count; i++)
        if (config->channels[i].search)
            return true;
    return false;
}

/* The peer takes what is offered when it knows that nothing holds the addresses any more: by its search, or,
 * where there is none, when its patience is out. */
static void add_vacancy(struct sum *sum, const struct config *config)
{
    if (asks_anywhere(config)) {
        add_takeover(sum, config);
        return;
    }
    add(sum, "search-time", config->timers.search_time);
    add_times(sum, 2, "handover-time", config->timers.handover_time);
    add(sum, "heartbeat-interval", config->timers.heartbeat_interval);
}

/* arbiterd lives, and offers the role in vain before the peer takes it. */
static void print_takeoverd(const struct config *config)
{
    struct sum detection = {0}, outage = {0};

    add_silence(&detection, config);
    add(&detection, "address-lease", config->timers.address_lease);
    add_vacancy(&detection, config);
    add(&outage, "address-lease", config->timers.address_lease);
    add_vacancy(&outage, config);
    add(&outage, allowance, allowance_ns);
    print_row("takeoverd hangs", &detection, &outage);
}

static void print_partition(const struct config *config)
{
    struct sum silence = {0};

    if (!config_has_witness(config)) {
        print_unbounded("a partition",
                        config->fence.command.count > 0
                            ? "one serves if the fence succeeds, else the one that did"
                            : "both hold the addresses for as long as it lasts: no witness is configured");
        return;
    }
    add(&silence, "isolation-after", config->timers.isolation_after);
    printf("  %-*s never two; who does not win the witness\n", LABEL_WIDTH, "a partition");
    printf("  %-*s ", LABEL_WIDTH, "");
    print_sum("is silent", &silence);
    print_unbounded("", "nobody serves while neither the peer nor the witness is reached");
}

static void print_healed(const struct config_timers *timers)
{
    struct sum detection = {0}, both = {0};

    add_times(&detection, 2, "heartbeat-interval", timers->heartbeat_interval);
    add(&both, "detection", total(&detection));
    add(&both, allowance, allowance_ns);
    printf("  %-*s ", LABEL_WIDTH, "a partition heals");
    print_sum("detected", &detection);
    printf("  %-*s ", LABEL_WIDTH, "");
    print_sum("both hold", &both);
}

/* ---- services */

/* The first restart comes at once. */
static void add_retries(struct sum *sum, const struct config_service *service)
{
    int64_t pauses_ns = 0;

    for (int i = 1; i < service->start_retries; i++)
        pauses_ns += backoff_ns(service->retry_interval, i, SERVICE_BACKOFF_MAX_NS);
    if (pauses_ns > 0)
        add(sum, "growing retry-intervals", pauses_ns);
}

static void print_service_died(const struct config_timers *timers, const struct config_service *service)
{
    char fault[CONFIG_NAME_MAX + 32];
    struct sum detection = {0};

    snprintf(fault, sizeof fault, "service %s dies for good", service->name);
    add_retries(&detection, service);
    add(&detection, "heartbeat-interval", timers->heartbeat_interval);
    print_fault(fault, &detection);
}

static void print_service_hung(const struct config_timers *timers, const struct config_service *service)
{
    const int64_t lives = service->start_retries + 1, checks = lives * service->check_failures;
    char fault[CONFIG_NAME_MAX + 32];
    struct sum detection = {0};

    snprintf(fault, sizeof fault, "service %s hangs", service->name);
    add_times(&detection, checks, "check-interval", service->check_interval);
    add_times(&detection, checks, "check-timeout", service->check_timeout);
    add_times(&detection, lives, "stop-timeout", service->stop_timeout);
    add_retries(&detection, service);
    add(&detection, "heartbeat-interval", timers->heartbeat_interval);
    print_fault(fault, &detection);
}

static void print_services(const struct config *config)
{
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        if (service->on_failure == FAULT_IGNORE)
            continue;
        print_service_died(&config->timers, service);
        if (service->check.count > 0)
            print_service_hung(&config->timers, service);
    }
}

/* ---- hooks */

/* Comes to each outage above that a claim ends: takeoverd waits that long if superviserd says nothing. */
static void print_hooks(const struct config *config)
{
    const int64_t hooks_ns = config_hooks_ns(config, HOOK_EVENT_BEFORE_ACTIVE);
    struct sum longer = {0};

    if (hooks_ns == 0)
        return;
    add(&longer, "before-active hooks", hooks_ns);
    add(&longer, "a twentieth of claim-time", config->timers.claim_time / 20);
    printf("  %-*s ", LABEL_WIDTH, "each claim, with its hooks");
    print_sum("longer by", &longer);
}

/* ---- the whole */

static void print_timers(const struct config *config)
{
    char text[DURATION_TEXT_MAX], usual[DURATION_TEXT_MAX];

    printf("\nTimers (profile %s):\n", config_profile_name(config->profile));
    for (size_t i = 0; i < CONFIG_TIMERS; i++) {
        const struct config_timer *timer = &config_timer_table[i];
        const int64_t ns = config_timer_ns(&config->timers, timer);
        duration_print(ns, text);
        duration_print(timer->defaults[config->profile], usual);
        printf("  %-*s %8s", LABEL_WIDTH, timer->key, text);
        printf(ns == timer->defaults[config->profile] ? "\n" : "   (%s by default)\n", usual);
    }
    printf("  %-*s %8d\n", LABEL_WIDTH, "router-retries", config->timers.router_retries);
}

static void print_budget(const struct config *config)
{
    printf("\nThe longest that each kind of fault can take:\n");
    print_power_off(config);
    print_carrier_lost(&config->timers);
    print_router_silent(config);
    print_services(config);
    print_hung(config);
    print_watchdog(config);
    print_takeoverd(config);
    print_killed(config);
    print_partition(config);
    if (!config_has_witness(config))
        print_healed(&config->timers);
    print_hooks(config);
}

/* trapd reads the file of the sinks, since Net-SNMP's code is needed for it, and says on stderr what is
 * wrong. */
static bool are_sinks_right(const struct config *config)
{
    char program[PATH_MAX], check[] = "--check";
    int status = 0;

    if (config->snmp_config[0] == '\0')
        return true;
    if (program_find("trapd", program) < 0) {
        fprintf(stderr, "duet: cannot find the program trapd in %s: %s is not checked\n", program,
                config->snmp_config);
        return true;
    }
    char *const argv[] = {program, check, (char *)config->snmp_config, NULL};
    const int pid = program_start(argv, STDERR_FILENO);
    if (pid < 0) {
        fprintf(stderr, "duet: cannot start %s: %s\n", program, strerror(-pid));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

int check_config(const char *file, const char *node)
{
    struct config *config;

    if (config_read(file, node, stderr, &config) < 0)
        return EXIT_FAILURE;
    if (!are_sinks_right(config)) {
        config_free(config);
        return EXIT_FAILURE;
    }
    config->warnings += check_monitor(config);
    printf("%s: OK", file);
    if (config->warnings > 0)
        printf(" (%d warning%s)", config->warnings, config->warnings == 1 ? "" : "s");
    printf("\n");
    print_timers(config);
    print_budget(config);
    config_free(config);
    return EXIT_SUCCESS;
}
