#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include <net-snmp/agent/net-snmp-agent-includes.h>

#include <net-snmp/agent/agent_callbacks.h>
/* The library's headers come first: they set macros that the others must see. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#include "common/log.h"
#include "trapd/agent.h"

enum { OBJECTS_ARC = 1 }; /* duetObjects below the base: notifications and conformance have no values */

static struct {
    const struct config_oid *base;
    agent_view_function *view;
    void *userdata;
    const char *address;
    bool connected;
} agent;

/* ---- identifiers: the library's are absolute and wider, those of the view relative */

/* The part of `name` below the base. -1: the whole name is before all that is below the base, 1: after it. */
static int relative(const oid *name, size_t name_length, uint32_t arcs[static VIEW_ARCS_MAX], size_t *length)
{
    const struct config_oid *base = agent.base;

    *length = 0;
    for (size_t i = 0; i < base->count; i++) {
        if (i == name_length)
            return -1;
        if (name[i] != base->arcs[i])
            return name[i] < base->arcs[i] ? -1 : 1;
    }
    while (base->count + *length < name_length && *length < VIEW_ARCS_MAX) {
        arcs[*length] = (uint32_t)name[base->count + *length];
        (*length)++;
    }
    return 0;
}

static size_t absolute(const uint32_t *arcs, size_t length, oid name[static MAX_OID_LEN])
{
    size_t count = 0;

    for (size_t i = 0; i < agent.base->count; i++)
        name[count++] = agent.base->arcs[i];
    for (size_t i = 0; i < length && count < MAX_OID_LEN; i++)
        name[count++] = arcs[i];
    return count;
}

/* ---- requests */

static u_char asn_type(enum mib_kind kind)
{
    switch (kind) {
    case MIB_KIND_INTEGER:
        return ASN_INTEGER;
    case MIB_KIND_UNSIGNED:
    case MIB_KIND_GAUGE:
        return ASN_GAUGE;
    case MIB_KIND_COUNTER:
        return ASN_COUNTER;
    case MIB_KIND_OCTETS:
        return ASN_OCTET_STR;
    case MIB_KIND_NONE:
        break;
    }
    return ASN_NULL;
}

static void set_value(netsnmp_variable_list *variable, const struct view_cell *cell)
{
    const u_char type = asn_type(cell->kind);
    const long integer = (long)cell->number;
    const u_long number = cell->number;

    if (cell->kind == MIB_KIND_OCTETS)
        snmp_set_var_typed_value(variable, type, cell->octets, cell->octet_count);
    else if (cell->kind == MIB_KIND_INTEGER)
        snmp_set_var_typed_value(variable, type, &integer, sizeof integer);
    else
        snmp_set_var_typed_value(variable, type, &number, sizeof number);
}

static void answer_get(netsnmp_agent_request_info *info, netsnmp_request_info *request,
                       const struct view *view)
{
    netsnmp_variable_list *variable = request->requestvb;
    uint32_t arcs[VIEW_ARCS_MAX];
    size_t length;
    const bool below = relative(variable->name, variable->name_length, arcs, &length) == 0;
    const struct view_cell *cell = below ? view_at(view, arcs, length) : NULL;

    if (cell)
        set_value(variable, cell);
    else
        netsnmp_set_request_error(info, request, SNMP_NOSUCHINSTANCE);
}

/* Without an answer the library goes on to what is registered behind this. */
static void answer_next(netsnmp_request_info *request, const struct view *view)
{
    netsnmp_variable_list *variable = request->requestvb;
    uint32_t arcs[VIEW_ARCS_MAX];
    oid name[MAX_OID_LEN];
    size_t length;
    const int side = relative(variable->name, variable->name_length, arcs, &length);
    const struct view_cell *cell = side > 0 ? NULL : view_after(view, arcs, length, request->inclusive != 0);

    if (!cell)
        return;
    snmp_set_var_objid(variable, name, absolute(cell->arcs, cell->length, name));
    set_value(variable, cell);
}

static int on_request(netsnmp_mib_handler *handler, netsnmp_handler_registration *registration,
                      netsnmp_agent_request_info *info, netsnmp_request_info *requests)
{
    const struct view *view = agent.view(agent.userdata);

    (void)handler;
    (void)registration;
    for (netsnmp_request_info *request = requests; request; request = request->next) {
        if (request->processed)
            continue;
        if (info->mode == MODE_GET)
            answer_get(info, request, view);
        else if (info->mode == MODE_GETNEXT)
            answer_next(request, view);
        else
            netsnmp_set_request_error(info, request, SNMP_ERR_NOTWRITABLE);
    }
    return SNMP_ERR_NOERROR;
}

/* ---- the connection */

static int on_connection(int major, int minor, void *session, void *userdata)
{
    (void)major;
    (void)session;
    (void)userdata;
    agent.connected = minor == SNMPD_CALLBACK_INDEX_START;
    if (agent.connected)
        log_notice("tables: snmpd at %s takes them", agent.address);
    else
        log_warning("tables: snmpd at %s is gone; they are offered again every %ds", agent.address,
                    AGENT_PING_S);
    return 0;
}

/* What the library has to say goes by the journal's rules, and not each time anew. */
static int on_log(int major, int minor, void *message, void *userdata)
{
    static struct log_limit limit;
    const struct snmp_log_message *line = message;

    (void)major;
    (void)minor;
    (void)userdata;
    if (line->priority <= LOG_ERR && log_allowed(&limit, 3))
        log_warning("tables: Net-SNMP: %.*s", (int)strcspn(line->msg, "\n"), line->msg);
    else
        log_debug("tables: Net-SNMP: %.*s", (int)strcspn(line->msg, "\n"), line->msg);
    return 0;
}

/* Nothing of the library's own files, environment or signals has a say here. */
static void set_up_library(const char *address)
{
    setenv("MIBS", "", 1);
    snmp_disable_log();
    netsnmp_register_loghandler(NETSNMP_LOGHANDLER_CALLBACK, LOG_DEBUG);
    snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, NULL);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_ALARM_DONT_USE_SIG, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_ROLE, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_NO_ROOT_ACCESS, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_DISABLE_PERL, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_NO_CONNECTION_WARNINGS, 1);
    netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_PING_INTERVAL, AGENT_PING_S);
    netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_TIMEOUT, AGENT_TIMEOUT_S * 1000000);
    netsnmp_ds_set_int(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_AGENTX_RETRIES, AGENT_RETRIES);
    netsnmp_ds_set_string(NETSNMP_DS_APPLICATION_ID, NETSNMP_DS_AGENT_X_SOCKET, address);
    snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_START, on_connection, NULL);
    snmp_register_callback(SNMP_CALLBACK_APPLICATION, SNMPD_CALLBACK_INDEX_STOP, on_connection, NULL);
}

int agent_open(const char *address, const struct config_oid *base, agent_view_function *view, void *userdata)
{
    static const uint32_t objects = OBJECTS_ARC;
    oid name[MAX_OID_LEN];

    agent.address = address;
    agent.base = base;
    agent.view = view;
    agent.userdata = userdata;
    set_up_library(address);
    if (init_agent("duet") != 0)
        return -EIO;
    const size_t length = absolute(&objects, 1, name);
    netsnmp_handler_registration *registration =
        netsnmp_create_handler_registration("duet", on_request, name, length, HANDLER_CAN_RONLY);
    if (!registration)
        return -ENOMEM;
    if (netsnmp_register_handler(registration) != MIB_REGISTERED_OK)
        return -EIO;
    init_snmp("duet");
    return 0;
}

/* The library tries to connect again and again, and says nothing where it may not. */
void agent_obstacle(char *text, size_t size)
{
    const char *path = strchr(agent.address, '/');

    text[0] = '\0';
    if (!agent.connected && path && access(path, W_OK) < 0 && errno == EACCES)
        snprintf(text, size,
                 "snmpd does not let this user use %s; in snmpd's configuration: agentXPerms 0660 0755 "
                 "Debian-snmp duet",
                 path);
}

void agent_close(void)
{
    if (agent.view)
        snmp_shutdown("duet");
    agent.view = NULL;
}

/* The sets of the library hold descriptors below FD_SETSIZE only; this process has some twenty. */
static int select_info(fd_set *set)
{
    struct timeval timeout = {0};
    int count = 0, block = 1;

    FD_ZERO(set);
    snmp_select_info(&count, set, &timeout, &block);
    return count;
}

size_t agent_fds(int fds[static AGENT_FDS_MAX])
{
    fd_set set;
    const int count = select_info(&set);
    size_t found = 0;

    for (int fd = 0; fd < count && found < AGENT_FDS_MAX; fd++)
        if (FD_ISSET(fd, &set))
            fds[found++] = fd;
    return found;
}

/* Reading a request makes the library send it to itself, through a pipe that has to be read then: until
 * nothing is left, but not for ever. */
void agent_turn(void)
{
    for (int i = 0; i < AGENT_READS_MAX; i++) {
        fd_set set;
        const int count = select_info(&set);
        struct timeval none = {0};
        if (count == 0 || select(count, &set, NULL, NULL, &none) <= 0)
            break;
        snmp_read(&set);
        netsnmp_check_outstanding_agent_requests();
    }
    snmp_timeout();
    run_alarms();
    netsnmp_check_outstanding_agent_requests();
}
